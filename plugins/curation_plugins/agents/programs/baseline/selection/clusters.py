"""What the methods over embeddings share: random projection, spherical k-means, nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .method import Rows, draw
from .pool import Pool

Points = NDArray[np.float32]
WIDTH = 64
"""Dimensions that k-means and neighbours are computed in."""
GRID = 2**11
"""Coordinates are multiples of 1/GRID. Products of two are then multiples of 2^-22, and a sum of them below 2 is
exact in 32 bits, in whatever order it is added up: neither threads nor NumPy's linear algebra decide anything."""
ITERATIONS = 15
"""Of k-means."""
AT_ONCE = 2048
"""Rows of a block of similarities, at most."""
PAIRS = 2**25
"""Similarities of a block of nearest neighbours, at most: some 500 MB with what ranking them takes."""
CANDIDATES = 60_000
"""Rows among which all pairs are affordable: about half a minute on one core."""


def part(pool: Pool, count: int, rng: np.random.Generator) -> Rows:
    """The rows that may be chosen; of a large pool a random part, at least four times ``count``."""
    return np.sort(draw(pool.ids, max(4 * count, CANDIDATES), rng))


def directions(pool: Pool, rows: Rows) -> Points:
    """The rows' embeddings as unit vectors, centred and projected to ``WIDTH`` dimensions.

    Centred, because the states of a language model all point one way; projected with random signs (Achlioptas 2003),
    the same in every run, a block at a time (a large pool's embeddings would fill a container's memory); then put on
    the grid.
    """
    parts = list(pool.parts(rows, AT_ONCE))
    if not parts:
        return np.zeros((0, WIDTH), dtype=np.float32)
    mean = sum(pool.vectors(rows[part]).sum(axis=0, dtype=np.float64) for part in parts) / len(rows)
    wide = len(mean) > WIDTH
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(len(mean), WIDTH)) if wide else np.eye(len(mean))
    points = np.zeros((len(rows), signs.shape[1]), dtype=np.float32)
    for part in parts:
        points[part] = _turned(pool.vectors(rows[part]) - mean, signs)
    return points


def _turned(points: NDArray[np.float64], signs: NDArray[np.float64]) -> Points:
    points = points @ signs
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return on_grid(points / np.where(length > 0, length, 1))


def on_grid(points: NDArray[np.float64]) -> Points:
    """The nearest multiples of 1/``GRID``."""
    near: Points = (np.round(points * GRID) / GRID).astype(np.float32)
    return near


def spherical_k_means(
    points: Points, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Clusters by cosine (Dhillon and Modha 2001), from random points on.

    Returns:
        the cluster of each point, and the centroids as unit vectors, shape (clusters, width).
    """
    count = min(count, len(points))
    centroids = points[rng.choice(len(points), size=count, replace=False)]
    cluster = np.full(len(points), -1)
    for _ in range(ITERATIONS):
        before, cluster = cluster, _nearest(points, centroids)
        if np.array_equal(before, cluster):
            break
        sums = np.zeros(centroids.shape)
        np.add.at(sums, cluster, points)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # an empty cluster keeps its centroid
        means = np.where(length > 0, sums / np.where(length > 0, length, 1), centroids)
        centroids = on_grid(means)
    return cluster, centroids


def _nearest(points: Points, centroids: Points) -> NDArray[np.int64]:
    parts = [
        np.argmax(points[start : start + AT_ONCE] @ centroids.T, axis=1) for start in range(0, len(points), AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def members(cluster: NDArray[np.int64], count: int) -> list[Rows]:
    """Indices of the points of each cluster, ascending."""
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.searchsorted(cluster[order], np.arange(1, count)))


def neighbours(points: Points, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``count`` nearest other points of each by cosine, nearest first; all others if there are fewer.

    Returns:
        indices and cosines, shape (points, count) each.
    """
    count = min(count, len(points) - 1)
    places = np.zeros((len(points), count), dtype=np.int64)
    cosines = np.zeros((len(points), count), dtype=np.float32)
    step = max(1, min(AT_ONCE, PAIRS // max(1, len(points))))
    for start in range(0, len(points), step):
        block = points[start : start + step] @ points.T
        here = np.arange(len(block))
        block[here, start + here] = -2  # a point is no neighbour of its own
        near = np.sort(np.argpartition(-block, count - 1, axis=1)[:, :count], axis=1) if count else places[here]
        values = np.take_along_axis(block, near, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        places[start : start + step] = np.take_along_axis(near, order, axis=1)
        cosines[start : start + step] = np.take_along_axis(values, order, axis=1)
    return places, cosines
