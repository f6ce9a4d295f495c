"""Copies by descriptor: DataComp's own rule for what it left out of its pools, where both sides have the features.

The descriptors are those of Yokoo, Contrastive Learning with Large Memory Bank and Negative Embedding Subtraction for
Accurate Copy Detection (arXiv:2112.04323), the winner of the ISC 2021; DataComp ships them as ``dedup``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

COSINE: Final = 0.604169
"""Cosine above which two pictures are held to be copies (DataComp, arXiv:2304.14108, appendix F: precision 0.9,
recall 0.8 on a labelled set)."""
_AT_ONCE: Final = 4096
"""Vectors of either side that are compared at a time."""

Vectors = NDArray[np.floating]


def copies(rows: Vectors, known: NDArray[np.float32]) -> Iterator[tuple[int, int, float]]:
    """(row, known, cosine) of each row whose nearest known vector is near enough, in order of rows.

    Args:
        rows: shape (rows, width), of any length; one of length 0 is near nothing.
        known: shape (known, width), likewise.
    """
    other = _unit(known)
    for start in range(0, len(rows), _AT_ONCE):
        own = _unit(rows[start : start + _AT_ONCE])
        best = np.full(len(own), -1.0, dtype=np.float32)
        nearest = np.zeros(len(own), dtype=np.int64)
        for begin in range(0, len(other), _AT_ONCE):
            cosines = own @ other[begin : begin + _AT_ONCE].T
            place = cosines.argmax(axis=1)
            value = cosines[np.arange(len(own)), place]
            nearer = value > best
            best[nearer], nearest[nearer] = value[nearer], begin + place[nearer]
        for place in np.flatnonzero(best > COSINE).tolist():
            yield start + place, int(nearest[place]), float(best[place])


def _unit(vectors: Vectors) -> NDArray[np.float32]:
    wide = np.nan_to_num(vectors.astype(np.float32))
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(length > 0, length, 1), dtype=np.float32)
