"""What the methods see of a picture: a perceptual hash, and a thumbnail as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .pool import Pool

SIDE = 8
"""Cells along each side of a thumbnail."""


READABLE = 50_000
"""Rows up to which pictures are read: above it, the hash that the pool ships is used."""


def hashes(pool: Pool) -> NDArray[np.bool_]:
    """Bits of every row's image hash, shape (rows, bits); all false where there is no image.

    Made here while that takes seconds: an average hash stands noise on a plain background, and not
    every hash that a pool may ship does. Otherwise the pool's own (hexadecimal text or 64-bit
    integers).
    """
    column = pool.column("image_hash")
    pictured = pool.size <= READABLE and any(row.image is not None for row in pool.rows)
    if column is None or pictured:
        return average_hashes(pool)
    if column.dtype.kind in "iu":
        whole = column.astype(np.int64).view(np.uint8).reshape(len(column), 8)
        return np.unpackbits(whole, axis=1).astype(np.bool_)
    longest = max((len(str(text)) for text in column), default=0)
    digits = longest + longest % 2
    raw = b"".join(bytes.fromhex(str(text).zfill(digits)) for text in column)
    whole = np.frombuffer(raw, dtype=np.uint8).reshape(len(column), digits // 2)
    return np.unpackbits(whole, axis=1).astype(np.bool_)


def average_hashes(pool: Pool) -> NDArray[np.bool_]:
    """64 bits a row: whether each of 8x8 cells is lighter than the picture's mean."""
    grey = thumbnails(pool, np.arange(pool.size), "L").reshape(pool.size, -1)
    lighter: NDArray[np.bool_] = grey > grey.mean(axis=1, keepdims=True)
    return lighter


def thumbnails(pool: Pool, rows: NDArray[np.int64], mode: str = "RGB") -> NDArray[np.float64]:
    """Pictures of some rows shrunk to 8x8 cells, values in [0, 1]; zeros where a row has no image.

    Returns:
        Shape (rows, 8, 8, channels).
    """
    channels = len(mode)
    cells = np.zeros((len(rows), SIDE, SIDE, channels))
    seen: dict[Path, int] = {}
    for place, row in enumerate(rows.tolist()):
        name = pool.rows[row].image
        if name is None:
            continue
        path = pool.folder / name
        if path in seen:  # many rows may ask about one image
            cells[place] = cells[seen[path]]
            continue
        seen[path] = place
        with Image.open(path) as picture:
            picture.draft(mode, (SIDE, SIDE))  # lets a JPEG be decoded at a small size
            small = picture.convert(mode).resize((SIDE, SIDE), Image.Resampling.BOX)
        cells[place] = np.asarray(small, dtype=np.float64).reshape(SIDE, SIDE, channels) / 255
    return cells
