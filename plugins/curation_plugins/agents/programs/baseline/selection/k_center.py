"""Rows that cover the pool: each next one is the farthest from all chosen before."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from .method import Method, Parameters, Rows, draw
from .pictures import thumbnails
from .pool import Pool

DIMENSIONS = 32
"""Random directions that distances are measured in."""

WORD_CELLS = 64
"""Cells that a row's words are counted in, by hash."""

WORK = 2e9
"""Candidates x chosen rows x dimensions that are affordable: seconds on one core."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Greedy k-center; in a large pool among a random part of it, at least twice ``count`` rows."""
    affordable = max(2 * count, int(WORK / (count * DIMENSIONS)))
    candidates = np.sort(draw(pool.ids, affordable, rng))
    points = features(pool, candidates)
    first = int(rng.integers(len(candidates)))
    return candidates[greedy(points, min(count, len(candidates)), first)]


def greedy(points: NDArray[np.float64], count: int, first: int) -> Rows:
    """Indices of ``count`` points, each the farthest from those before it (a 2-approximation)."""
    chosen = np.empty(count, dtype=np.int64)
    distance = np.full(len(points), np.inf)
    following = first
    for place in range(count):
        chosen[place] = following
        offset = points - points[following]
        distance = np.minimum(distance, np.einsum("ij,ij->i", offset, offset))
        distance[following] = -1.0  # exact copies of it, at 0, still come first
        following = int(np.argmax(distance))
    return chosen


def features(pool: Pool, candidates: Rows) -> NDArray[np.float64]:
    """One vector per candidate: the pool's embedding if it ships one, else picture and words."""
    embedding = pool.column("embedding")
    if embedding is not None:
        return _project(np.nan_to_num(embedding[candidates].astype(np.float64)))
    pictures = thumbnails(pool, candidates).reshape(len(candidates), -1)
    return _project(np.hstack([_level(pictures), _level(_words(pool, candidates))]))


def _words(pool: Pool, candidates: Rows) -> NDArray[np.float64]:
    counts = np.zeros((len(candidates), WORD_CELLS))
    for place, row in enumerate(candidates.tolist()):
        for word in pool.rows[row].text.split():
            counts[place, zlib.crc32(word.encode()) % WORD_CELLS] += 1
    return np.log1p(counts)


def _level(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre a block and scale it to a mean squared length of 1, so that blocks weigh the same."""
    centred = block - block.mean(axis=0)
    size = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    level: NDArray[np.float64] = centred / size if size > 0 else centred
    return level


def _project(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances nearly kept in few dimensions: random signs (Achlioptas 2003), the same in every run.

    No principal components, and rounded: rows that are equally far away must stay so to the last
    bit, or another number of threads would break the tie in another way and select other rows.
    """
    width = points.shape[1]
    if width > DIMENSIONS:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(width, DIMENSIONS))
        points = points @ signs / np.sqrt(DIMENSIONS)
    return np.round(points, 6)


METHOD = Method(
    name="k-center",
    summary="rows that cover the pool: each the farthest from those chosen before",
    citation="Sener and Savarese 2018, Active Learning for Convolutional Neural Networks: A"
    " Core-Set Approach (greedy k-center), arXiv:1708.00489",
    needs=("content",),
    settings=({},),
    select=select,
)
