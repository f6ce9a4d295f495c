"""Images of a folder on their way into a model: opened ahead of time, or as tower features computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.picture_hashes import UNREADABLE
from curation_plugins.tasks.llava.encode import BLANK
from curation_plugins.tasks.llava.families.family import Seen, Size
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.families.llava15 import Llava15
from curation_plugins.tasks.llava.families.processor import Processor
from curation_plugins.tasks.llava.images import open_rgb

CHUNK = 128
"""Images a forward pass of the tower."""
FEATURE_BYTES = 2 * 2**30
"""Tower features of a whole pool are computed once if they take no more than this."""
AHEAD = 8
"""Batches whose images are opened before they are wanted."""


def load_pixels(processor: Processor, config: Any, paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Opens and preprocesses images, one after the other (see `Family.pixels`).

    Raises:
        AssetsInvalid: a file is missing, truncated or no image.
    """
    return family_of(config).pixels(processor, [open_rgb(path) for path in paths])


def image_size(path: Path) -> Size:
    """Width and height, from the file's first bytes.

    Raises:
        AssetsInvalid: the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except UNREADABLE as error:
        raise AssetsInvalid(
            f"{path}: cannot be read as an image ({error})", hint="The pool was changed or damaged; make it again."
        ) from error


class Opener:
    """Preprocessed images of a folder, opened by a few threads ahead of their use."""

    def __init__(self, processor: Processor, config: Any, folder: Path, workers: int) -> None:
        self._processor = processor
        self._config = config
        self._family = family_of(config)
        self._folder = folder
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="images")

    def __call__(self, images: Sequence[str]) -> Seen | None:
        """These images, in order; none if there are none."""
        return _joined([self._open(image) for image in images])

    def ahead(self, batches: Iterable[Sequence[str]]) -> Iterator[Seen | None]:
        """What calling it with each in turn would give, opened up to `AHEAD` batches before."""
        waiting: OrderedDict[int, list[Future[dict[str, torch.Tensor]]]] = OrderedDict()
        source = enumerate(batches)
        try:
            while True:
                for place, images in source:
                    waiting[place] = [self._threads.submit(self._open, image) for image in images]
                    if len(waiting) >= AHEAD:
                        break
                if not waiting:
                    return
                _, opened = waiting.popitem(last=False)
                yield _joined([one.result() for one in opened])
        finally:
            for left in waiting.values():
                for one in left:
                    one.cancel()

    def check(self, images: Iterable[str]) -> None:
        """Decodes every image completely.

        Raises:
            AssetsInvalid: naming the first that is missing, truncated or no image.
        """
        names = dict.fromkeys(images)
        for _ in self._threads.map(self._decode, names):
            pass

    def _decode(self, image: str) -> None:
        if image != BLANK:
            open_rgb(self._folder / image)

    def _open(self, image: str) -> dict[str, torch.Tensor]:
        if image == BLANK:
            picture = self._family.blank(self._processor, self._config)
        else:
            picture = open_rgb(self._folder / image)
        return self._family.pixels(self._processor, [picture])


def _joined(parts: Sequence[dict[str, torch.Tensor]]) -> Seen | None:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else None


class FeatureStore:
    """Features of LLaVA's frozen tower for a folder's images, computed once.

    All images named at construction are computed in one fixed order and in fixed chunks, so that a row's
    features do not depend, in the last bit, on which rows were asked for first.
    """

    def __init__(self, features: torch.Tensor, images: Sequence[str]) -> None:
        """
        Args:
            features: one block an image, (n, tokens, width), on the CPU.
        """
        self._features = features
        self._places = {image: place for place, image in enumerate(images)}

    @classmethod
    def compute(cls, model: Any, processor: Processor, folder: Path, images: Sequence[str]) -> FeatureStore:
        """Of the images of a folder, with LLaVA's tower.

        Raises:
            AssetsInvalid: a file is missing, truncated or no image.
        """
        family = family_of(model.config)
        assert isinstance(family, Llava15)
        parts = []
        for start in range(0, len(images), CHUNK):
            pixels = load_pixels(processor, model.config, [folder / i for i in images[start : start + CHUNK]])
            with torch.no_grad():
                parts.append(family.features(model, pixels["pixel_values"].to(model.device)).cpu())
        return cls(torch.cat(parts) if parts else torch.zeros(0), images)

    @staticmethod
    def fits(config: Any, count: int) -> bool:
        """Whether the features of this many images are few enough, for a model that has ready ones at all."""
        if not isinstance(family_of(config), Llava15):
            return False
        vision = config.vision_config
        tokens = (vision.image_size // vision.patch_size) ** 2
        return bool(count * tokens * vision.hidden_size * 4 <= FEATURE_BYTES)

    def __call__(self, images: Sequence[str]) -> Seen | None:
        """Features of these images, (n, tokens, width); none if there are none."""
        if not images:
            return None
        return self._features[[self._places[image] for image in images]]

    def ahead(self, batches: Iterable[Sequence[str]]) -> Iterator[Seen | None]:
        """Calls it with each in turn."""
        return map(self, batches)

    def check(self, images: Iterable[str]) -> None:
        """Nothing: all were opened at construction."""
