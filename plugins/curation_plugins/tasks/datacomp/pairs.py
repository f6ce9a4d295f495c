"""What a training sees of pairs: pixels and tokens."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional as images

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.pair_bytes import Files, Reader

KEPT_BYTES: Final = 128 * 2**20
"""Decoded pairs that a process keeps: a small selection is decoded once, of a large one too little to matter."""
RATIO: Final = (3 / 4, 4 / 3)
"""Sides of a random crop: torchvision's default, which open_clip leaves as it is."""


@dataclass(frozen=True)
class Decoded:
    """A chunk of pairs as a training step takes them."""

    pixels: torch.Tensor
    """uint8, (pairs, 3, side, side)."""
    tokens: torch.Tensor
    """int64, (pairs, context length)."""
    broken: tuple[int, ...]
    """Places of the selection whose image could not be decoded; the next good one was taken each time."""
    replaced: int
    """How many of the pairs were taken for another one."""


class Decoder:
    """Pairs to pixels and tokens: open_clip's transform for training up to the float conversion, which is done where
    the model is (a quarter of the bytes to move, and none of the work here)."""

    def __init__(
        self,
        files: Files,
        tokenizer: Callable[[Sequence[str]], torch.Tensor],
        size: tuple[int, int],
        crop: tuple[float, float],
        seed: int,
        resize: str = "pillow",
    ) -> None:
        """
        Args:
            size: height and width for the model.
            crop: share of the area to keep, from and to.
            resize: who shrinks the crop, see the recipe.
            seed: of the crops; each depends on it and on the pair's position in the training only.
        """
        self._files = files
        self._reader = Reader(files)
        self._tokenizer = tokenizer
        self._size = size
        self._crop = crop
        self._seed = seed
        self._tensors = resize == "torchvision"
        self._kept: dict[int, tuple[Image.Image, torch.Tensor]] = {}
        self._room = KEPT_BYTES

    def chunk(self, start: int, places: NDArray[np.int64]) -> Decoded:
        """The pairs at these places, the first of them at position `start` of the training."""
        height, width = self._size
        pixels = torch.empty((len(places), 3, height, width), dtype=torch.uint8)
        tokens, broken, replaced = list[torch.Tensor](), list[int](), 0
        for number, place in enumerate(places.tolist()):
            before = len(broken)
            image, ids = self._next_good(place, broken)
            replaced += len(broken) > before
            pixels[number] = self._cropped(image, start + number)
            tokens.append(ids)
        return Decoded(pixels, torch.stack(tokens), tuple(broken), replaced)

    def _next_good(self, place: int, broken: list[int]) -> tuple[Image.Image, torch.Tensor]:
        for step in range(len(self._files)):
            taken = (place + step) % len(self._files)
            if taken in self._kept:
                return self._kept[taken]
            image = decode(self._reader.image(taken))
            if image is None:
                broken.append(taken)
                continue
            found = image, self._tokenizer([self._reader.text(taken)])[0]
            size = 3 * image.width * image.height
            if size <= self._room:
                self._room -= size
                self._kept[taken] = found
            return found
        raise AssetsInvalid(
            f"none of the {len(self._files)} selected images can be decoded",
            hint="The pool's shards are damaged, or were changed since they were indexed.",
        )

    def _cropped(self, image: Image.Image, position: int) -> torch.Tensor:
        # torchvision draws from torch's own generator, which the training's process needs unchanged
        state = torch.get_rng_state()
        mixed = hashlib.blake2b(f"{self._seed} {position}".encode(), digest_size=7).digest()
        torch.default_generator.manual_seed(int.from_bytes(mixed, "little"))
        top, left, height, width = RandomResizedCrop.get_params(image, list(self._crop), list(RATIO))
        torch.set_rng_state(state)
        whole = images.pil_to_tensor(image) if self._tensors else image
        cut = images.resized_crop(
            whole, top, left, height, width, list(self._size), interpolation=InterpolationMode.BICUBIC, antialias=True
        )
        pixels: torch.Tensor = cut if self._tensors else images.pil_to_tensor(cut)
        return pixels


def decode(data: bytes) -> Image.Image | None:
    """An image in RGB; none if it cannot be decoded to its end."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except Exception:  # a damaged file leads Pillow's readers into errors of many kinds
        return None


def to_model(pixels: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """uint8 pixels to what the model takes, fp32: the last two steps of open_clip's transform, for a whole batch."""
    shape = (1, 3, 1, 1)
    scaled = pixels.to(torch.float32).div_(255)
    return scaled.sub_(scaled.new_tensor(mean).view(shape)).div_(scaled.new_tensor(std).view(shape))
