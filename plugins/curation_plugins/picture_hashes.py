"""Near-copies of known pictures, by a perceptual hash over decoded pixels, confirmed on a grey thumbnail.

Made for what happens to a picture on its way from one data set to another: other sizes, other compression, another
file format, slightly other colours. Not found: crops, frames, mirrored or turned pictures, pictures drawn over.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.errors import AssetsInvalid

UNREADABLE: Final = (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)
"""What Pillow's decoders raise over a file that is broken, no image, or says that it has more pixels than any has."""

Picture = Path | bytes
"""A picture's file, or what is in it."""

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
_KNOWN_AT_ONCE = 2**15
"""Known pictures that they are compared with at a time."""


@dataclass(frozen=True)
class Look:
    """What is kept of one picture."""

    bits: NDArray[np.float32]
    """The hash, shape (64,), each -1 or 1."""
    grey: NDArray[np.uint8]
    """The thumbnail, shape (1024,)."""
    pixels: bytes = b""
    """Of a small picture: hash over its size and all its pixels."""

    @property
    def flat(self) -> bool:
        return float(self.grey.std()) < FLAT

    @property
    def hashed(self) -> bool:
        """Whether its near-copies can be told."""
        return not self.pixels and not self.flat


@dataclass(frozen=True)
class Near:
    """A known picture that another one looks like."""

    known: int
    """Its place."""
    distance: int
    """Differing bits of the hash, of 64."""
    correlation: float
    """Of the thumbnails; 1 where all pixels are equal."""


def look(picture: Picture) -> Look:
    """Decodes a picture once.

    The hash is the DCT hash of Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (thesis,
    2010): the 8x8 lowest frequencies of the 32x32 grey picture without the first row and column, each
    above or not above their median. We reduce by area averages, which stand for its 7x7 mean filter.

    Raises:
        AssetsInvalid: the file is missing, truncated or no image.
    """
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            small = min(image.size) < SMALL
            if not small:
                image.draft("L", (2 * SIDE, 2 * SIDE))  # lets a JPEG decoder skip what the thumbnail drops
            colours = image.convert("RGB")
            grey = colours.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            pixels = _pixels(colours) if small else b""
    except UNREADABLE as error:
        what = f"a picture of {len(picture)} bytes" if isinstance(picture, bytes) else str(picture)
        raise AssetsInvalid(
            f"{what}: cannot be read as an image ({error})", hint="The file was changed or damaged; fetch it again."
        ) from error
    return _look(np.asarray(grey), pixels)


def _pixels(image: Image.Image) -> bytes:
    return hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()


def _look(grey: NDArray[np.uint8], pixels: bytes) -> Look:
    frequencies = _DCT @ grey.astype(np.float32) @ _DCT.T
    bits = np.where(frequencies > np.median(frequencies), 1, -1).astype(np.float32).ravel()
    return Look(bits, grey.ravel(), pixels)


def _dct_rows() -> NDArray[np.float32]:
    """Rows 1 to 8 of the DCT-II matrix, shape (8, 32)."""
    row, column = np.arange(1, 9)[:, None], np.arange(SIDE)[None, :]
    return np.asarray(np.sqrt(2 / SIDE) * np.cos(np.pi * row * (2 * column + 1) / (2 * SIDE)), dtype=np.float32)


_DCT = _dct_rows()


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Of two thumbnails that are not flat."""
    first, second = (grey.astype(np.float64) - grey.mean() for grey in (one, other))
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


class PictureIndex:
    """Pictures to be compared with any number of others.

    Of each, 256 bytes are held in memory; the thumbnails are in a file without a name.

    Args:
        pictures: equal ones may come twice.
        lenient: leave out a picture that cannot be read, and count it.

    Raises:
        AssetsInvalid: a file is missing or no image.
    """

    def __init__(self, pictures: Iterable[Picture], threads: int = 1, *, lenient: bool = False) -> None:
        self._threads = threads
        self._equal: dict[bytes, list[int]] = {}
        self._greys = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the index
        self.flat = 0
        """How many show next to nothing and are left out."""
        self.unreadable = 0
        self.size = 0
        """How many there were."""
        known, bits = array("q"), array("f")
        for one in _looks(pictures, threads):
            place, self.size = self.size, self.size + 1
            if isinstance(one, AssetsInvalid):
                if not lenient:
                    raise one
                self.unreadable += 1
            elif one.flat:
                self.flat += 1
            elif one.pixels:
                self._equal.setdefault(one.pixels, []).append(place)
            else:
                known.append(place)
                bits.frombytes(one.bits.tobytes())
                self._greys.write(one.grey.tobytes())
        self._known = np.array(known, dtype=np.int64)
        self._bits = np.array(bits, dtype=np.float32).reshape(-1, BITS)

    def compare(self, pictures: Iterable[Picture]) -> Iterator[list[Near] | AssetsInvalid]:
        """What each picture looks like, nearest first, or why it cannot be read; in order, `CHUNK` at a time."""
        with ThreadPoolExecutor(self._threads) as pool:
            for chunk in _chunks(pictures):
                yield from self._near(list(pool.map(_try_look, chunk)))

    def _near(self, looks: Sequence[Look | AssetsInvalid]) -> list[list[Near] | AssetsInvalid]:
        out: list[list[Near] | AssetsInvalid] = []
        places: list[int] = []
        for place, one in enumerate(looks):
            if isinstance(one, AssetsInvalid):
                out.append(one)
                continue
            out.append([Near(known, 0, 1.0) for known in self._equal.get(one.pixels, ())])
            if one.hashed:
                places.append(place)
        for place, near in self._hashed_near([(place, looks[place]) for place in places]):
            found = out[place]
            assert isinstance(found, list)
            found.append(near)
        return [one if isinstance(one, AssetsInvalid) else sorted(one, key=_nearness) for one in out]

    def _hashed_near(self, looks: Sequence[tuple[int, Look | AssetsInvalid]]) -> Iterator[tuple[int, Near]]:
        kept = [(place, one) for place, one in looks if isinstance(one, Look)]
        bits = np.array([one.bits for _, one in kept], dtype=np.float32).reshape(-1, BITS)
        for start in range(0, len(self._known), _KNOWN_AT_ONCE):
            distances = (BITS - bits @ self._bits[start : start + _KNOWN_AT_ONCE].T) / 2
            for row, column in np.argwhere(distances <= HASH_DISTANCE).tolist():
                place, one = kept[row]
                alike = correlation(one.grey, self._grey(start + column))
                if alike >= CORRELATION:
                    yield place, Near(int(self._known[start + column]), round(float(distances[row, column])), alike)

    def _grey(self, number: int) -> NDArray[np.uint8]:
        self._greys.seek(number * SIDE * SIDE)
        return np.frombuffer(self._greys.read(SIDE * SIDE), dtype=np.uint8)


def _chunks(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    rest = iter(pictures)
    while chunk := list(itertools.islice(rest, CHUNK)):
        yield chunk


def _nearness(near: Near) -> tuple[float, int]:
    return -near.correlation, near.distance


def _looks(pictures: Iterable[Picture], threads: int) -> Iterator[Look | AssetsInvalid]:
    with ThreadPoolExecutor(threads) as pool:
        for chunk in _chunks(pictures):
            yield from pool.map(_try_look, chunk)


def _try_look(picture: Picture) -> Look | AssetsInvalid:
    try:
        return look(picture)
    except AssetsInvalid as error:
        return error
