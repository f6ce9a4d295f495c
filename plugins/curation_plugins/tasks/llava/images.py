"""Images on their way into a model: opening, square padding, perceptual hashing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.picture_hashes import UNREADABLE


def open_rgb(path: Path) -> Image.Image:
    """Reads an image file completely.

    Raises:
        AssetsInvalid: the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except UNREADABLE as error:
        raise AssetsInvalid(
            f"{path}: cannot be read as an image ({error})",
            hint="The pool was changed or damaged; make it again.",
        ) from error


def pad_to_square(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Centres an image on a square of its longer side.

    LLaVA 1.5 does this with the processor's mean colour, (122, 116, 104) for CLIP
    (llava/mm_utils.py, `expand2square`).
    """
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def average_hash(image: Image.Image) -> int:
    """64-bit perceptual hash: whether each cell of an 8x8 grey thumbnail is brighter than their mean.

    Near-copies differ in few bits. (A difference hash would do badly here: on flat backgrounds its bits are the
    pixel noise.)
    """
    small = np.asarray(image.convert("L").resize((8, 8), Image.Resampling.BOX), dtype=np.float32)
    bits: NDArray[np.bool_] = (small > small.mean()).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
