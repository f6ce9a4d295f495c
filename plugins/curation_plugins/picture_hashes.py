"""Near-copies of benchmark pictures, by a perceptual hash over decoded pixels, confirmed on a grey thumbnail.

Made for what happens to a picture on its way from one data set to another: other sizes, other compression, another
file format, slightly other colours. Not found: crops, frames, mirrored or turned pictures, pictures drawn over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.images import UNREADABLE

SIDE = 32
"""Of the grey thumbnail, in pixels."""
BITS = 64
HASH_DISTANCE = 10
"""Bits of 64 in which the hashes of two copies may differ. Of two unrelated hashes of independent bits, one pair in
60 million comes as near; docs/audit.md has what was measured on copies."""
CORRELATION = 0.97
"""Least correlation of the two thumbnails. The hash knows only coarse shapes, so it alone would take one horizon for
another; 1,024 pixels do not."""
FLAT = 8.0
"""Standard deviation of the thumbnail, in grey levels of 255, under which a picture shows next to nothing: any blank
page is a copy of any other, and their hashes are noise. Such pictures are not compared."""
SMALL = 64
"""Pictures with a shorter side than this, in pixels, show too little to tell a copy from a likeness (every "stop" in
one font is alike); they count as copies only when all their pixels are equal."""
CHUNK = 256
"""Pictures that are decoded, then compared, at a time."""


@dataclass(frozen=True)
class Look:
    """What is kept of one picture."""

    bits: NDArray[np.float32]
    """The hash, shape (64,), each -1 or 1."""
    thumbnail: NDArray[np.float32]
    """Shape (1024,), mean 0, length 1; all zeros for a flat picture."""
    pixels: bytes = b""
    """Of a small picture: hash over its size and all its pixels."""

    @property
    def flat(self) -> bool:
        return not self.thumbnail.any()

    @property
    def hashed(self) -> bool:
        """Whether its near-copies can be told."""
        return not self.pixels and not self.flat


@dataclass(frozen=True)
class Near:
    """A picture that looks like one of a benchmark's."""

    known: int
    """Place of the benchmark's picture."""
    distance: int
    """Differing bits of the hash, of 64."""
    correlation: float
    """Of the thumbnails; 1 where all pixels are equal."""


def look(path: Path) -> Look:
    """Decodes a picture once.

    The hash is the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (thesis,
    2010): the 8x8 lowest frequencies of the 32x32 grey picture without the first row and column, each
    above or not above their median. We reduce by area averages, which stand for its 7x7 mean filter.

    Raises:
        AssetsInvalid: the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as image:
            small = min(image.size) < SMALL
            if not small:
                image.draft("L", (2 * SIDE, 2 * SIDE))  # lets a JPEG decoder skip what the thumbnail drops
            colours = image.convert("RGB")
            grey = colours.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            pixels = _pixels(colours) if small else b""
    except UNREADABLE as error:
        raise AssetsInvalid(
            f"{path}: cannot be read as an image ({error})", hint="The file was changed or damaged; fetch it again."
        ) from error
    return _look(np.asarray(grey, dtype=np.float32), pixels)


def _pixels(image: Image.Image) -> bytes:
    return hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()


def _look(grey: NDArray[np.float32], pixels: bytes) -> Look:
    frequencies = _DCT @ grey @ _DCT.T
    bits = np.where(frequencies > np.median(frequencies), 1, -1).astype(np.float32).ravel()
    centred = (grey - grey.mean()).ravel()
    spread = float(centred.std())
    length = float(np.linalg.norm(centred))
    return Look(bits, centred / length if spread >= FLAT else np.zeros_like(centred), pixels)


def _dct_rows() -> NDArray[np.float32]:
    """Rows 1 to 8 of the DCT-II matrix, shape (8, 32)."""
    row, column = np.arange(1, 9)[:, None], np.arange(SIDE)[None, :]
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi * row * (2 * column + 1) / (2 * SIDE)), dtype=np.float32)


_DCT = _dct_rows()


class PictureIndex:
    """The benchmarks' pictures, to be compared with any number of others.

    Args:
        paths: one file a picture; equal ones may stand there twice.

    Raises:
        AssetsInvalid: a file is missing or no image.
    """

    def __init__(self, paths: Sequence[Path], threads: int = 1) -> None:
        looks: list[Look] = []
        for found in _looks(paths, threads):
            if isinstance(found, AssetsInvalid):
                raise found
            looks.append(found)
        self._equal: dict[bytes, list[int]] = {}
        for place, one in enumerate(looks):
            if one.pixels and not one.flat:
                self._equal.setdefault(one.pixels, []).append(place)
        self._known = np.array([place for place, one in enumerate(looks) if one.hashed], dtype=np.int64)
        kept = [looks[place] for place in self._known.tolist()]
        self._bits = np.array([one.bits for one in kept], dtype=np.float32).reshape(-1, BITS)
        self._thumbnails = np.array([one.thumbnail for one in kept], dtype=np.float32).reshape(-1, SIDE * SIDE)
        self._threads = threads
        self.flat = sum(one.flat for one in looks)
        """How many show next to nothing and are left out."""

    def compare(self, paths: Iterable[Path]) -> Iterator[tuple[Path, list[Near] | AssetsInvalid]]:
        """Each picture with what it looks like, nearest first, or why it cannot be read; in order, `CHUNK` at a
        time."""
        with ThreadPoolExecutor(self._threads) as pool:
            for chunk in _chunks(paths):
                found = list(pool.map(_try_look, chunk))
                yield from zip(chunk, self._near(found), strict=True)

    def _near(self, looks: Sequence[Look | AssetsInvalid]) -> list[list[Near] | AssetsInvalid]:
        out: list[list[Near] | AssetsInvalid] = []
        kept: list[Look] = []
        places: list[int] = []
        for place, one in enumerate(looks):
            if isinstance(one, AssetsInvalid):
                out.append(one)
                continue
            out.append([Near(known, 0, 1.0) for known in self._equal.get(one.pixels, ())])
            if one.hashed:
                kept.append(one)
                places.append(place)
        if not kept or not len(self._known):
            return out
        bits = np.array([one.bits for one in kept])
        distances = (BITS - bits @ self._bits.T) / 2
        for row, column in np.argwhere(distances <= HASH_DISTANCE).tolist():
            correlation = float(kept[row].thumbnail @ self._thumbnails[column])
            if correlation >= CORRELATION:
                near = Near(int(self._known[column]), round(float(distances[row, column])), correlation)
                found = out[places[row]]
                assert isinstance(found, list)
                found.append(near)
        return [one if isinstance(one, AssetsInvalid) else sorted(one, key=_nearness) for one in out]


def _nearness(near: Near) -> tuple[float, int]:
    return -near.correlation, near.distance


def _chunks(paths: Iterable[Path]) -> Iterator[list[Path]]:
    chunk: list[Path] = []
    for path in paths:
        chunk.append(path)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _looks(paths: Sequence[Path], threads: int) -> list[Look | AssetsInvalid]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(_try_look, paths))


def _try_look(path: Path) -> Look | AssetsInvalid:
    try:
        return look(path)
    except AssetsInvalid as error:
        return error
