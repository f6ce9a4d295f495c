"""Which pairs' pictures fall into clusters of the pool that pictures of a target set fall into, too."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from .clusters import AT_ONCE, on_grid, spherical_k_means
from .english import english
from .method import Parameters, draw
from .pool import FILES, Pool

Points = NDArray[np.float64]
SAMPLE = 50
"""Vectors a cluster that k-means sees at most."""
_PRODUCTS = 2**24
"""That are held at a time."""
_BLANKS = re.compile("[ \\n\\r\\t\\v\\f\\0]+")


def near_targets(pool: Pool, parameters: Parameters, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Pictures whose nearest centroid is the nearest one of a target vector, shape (rows,).

    The centroids are those of ``centroids.npy`` as they are, else made from random pictures of the pool: ``clusters``
    of them, or fewer in a small pool.
    """
    features = pool.features("image_features")
    targets = _unit(_vectors(pool, "target_images"))
    if pool.file("centroids") is not None:
        centroids = _vectors(pool, "centroids").astype(np.float64)
    else:
        clusters = int(np.clip(pool.size // SAMPLE, 1, parameters["clusters"]))
        seen = np.sort(draw(pool.ids, SAMPLE * clusters, rng))
        _, made = spherical_k_means(on_grid(_unit(features[seen])), clusters, rng)
        centroids = made.astype(np.float64)
    if targets.shape[1:] != centroids.shape[1:]:
        raise LookupError(f"the targets have {targets.shape[1]} numbers each, the pictures {centroids.shape[1]}")
    wanted = np.unique(nearest(targets, centroids))
    out = np.zeros(pool.size, dtype=np.bool_)
    for rows, block in features.blocks():
        out[rows] = np.isin(nearest(_unit(block), centroids), wanted)
    return out


def says_something(pool: Pool) -> NDArray[np.bool_]:
    """The captions that DataComp's image-based filter looks at: English, two tokens or more, over five characters."""
    return english(pool, "language") & pool.pairs.mask(
        lambda texts: np.array([tokens(text) > 1 and len(text) > 5 for text in texts], dtype=np.bool_)
    )


def tokens(text: str) -> int:
    """What fastText's tokenizer counts: words between ASCII blanks, and every line end (Dictionary::readWord)."""
    return sum(map(bool, _BLANKS.split(text))) + text.count("\n")


def nearest(points: Points, centroids: Points) -> NDArray[np.int64]:
    """The centroid with the highest product with each point, to ten decimals; the first of equals."""
    step = max(1, min(AT_ONCE, _PRODUCTS // len(centroids)))
    parts = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(points), step):
        parts.append(np.argmax(np.round(points[start : start + step] @ centroids.T, 10), axis=1))
    return np.concatenate(parts)


def _vectors(pool: Pool, what: str) -> NDArray[np.floating]:
    path = pool.file(what)
    if path is None:
        raise LookupError(f"there is no {FILES[what]}")
    vectors: NDArray[np.floating] = np.load(path, allow_pickle=False)
    if vectors.ndim != 2 or not len(vectors):
        raise LookupError(f"{path.name}: not an array of vectors, but of shape {vectors.shape}")
    return vectors


def _unit(points: NDArray[np.floating]) -> Points:
    wide = np.nan_to_num(points.astype(np.float64))
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Points = wide / np.where(length > 0, length, 1)
    return unit
