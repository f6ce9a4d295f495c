"""Requests in the words and pictures of a model's family: the same for every engine, and the same as in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoConfig

from curation_plugins.tasks.llava.backends.backend import Request
from curation_plugins.tasks.llava.encode import Encoder
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.images import open_rgb
from curation_plugins.tasks.llava.vision import image_size

KEPT_BYTES = 2**28
"""Of preprocessed images, kept from one job to the next; others are opened again."""

Pixels = dict[str, torch.Tensor]


class Asking:
    """Prompts and pictures for the model whose checkpoint folder is given; needs no weights."""

    def __init__(self, folder: Path, context: int) -> None:
        """
        Args:
            context: longest prompt and answer together, tokens.
        """
        self.config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self.family = family_of(self.config)
        self.processor = self.family.open(folder)
        self.end_id = int(self.processor.tokenizer.convert_tokens_to_ids(self.family.end))
        """Of the token that ends an answer."""
        self._context = context
        # one more than fits, so that what is cut here is seen to be too long
        self._encoder = Encoder(self.processor, self.config, context + 1)
        self._kept: dict[Path, Pixels] = {}
        self._room = KEPT_BYTES

    def ids(self, requests: Sequence[Request]) -> list[NDArray[np.int64]]:
        """Token ids of each prompt, (n,), an image's mark expanded to the ids that the image takes."""
        sizes = {path: image_size(path) for request in requests for path in request.images}
        shown = [[sizes[path] for path in request.images] for request in requests]
        return [prompt.ids for prompt in self._encoder.prompts([request.text for request in requests], shown)]

    def texts(self, requests: Sequence[Request]) -> list[str]:
        """Each prompt as text, an image's mark once an image."""
        counts = [len(request.images) for request in requests]
        return self._encoder.prompt_texts([request.text for request in requests], counts)

    def fits(self, ids: NDArray[np.int64], request: Request) -> bool:
        """Whether there is room for prompt and longest answer."""
        return len(ids) + request.max_tokens <= self._context

    def pixels(self, paths: Sequence[Path]) -> Pixels:
        """Preprocessed images, one after the other (`Family.pixels`)."""
        new = {path: self._open(path) for path in dict.fromkeys(paths) if path not in self._kept}
        parts = [self._kept.get(path) or new[path] for path in paths]
        for path, opened in new.items():
            size = _bytes(opened)
            if size <= self._room:
                self._kept[path] = opened
                self._room -= size
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _open(self, path: Path) -> Pixels:
        return self.family.pixels(self.processor, [open_rgb(path)])

    def picture(self, path: Path) -> Image.Image:
        """An image as the preprocessing of any engine should get it."""
        return self.family.picture(self.processor, open_rgb(path))


def _bytes(pixels: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in pixels.values())
