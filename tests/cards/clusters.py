"""k-means, and counts of rows from shares: what several of the methods take for granted."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Ints, Rng, unit


def cosine_distance(vectors: Floats, centres: Floats) -> Floats:
    distance: Floats = 1 - unit(vectors) @ unit(centres).T
    return distance


def k_means(
    vectors: Floats, count: int, rng: Rng, *, spherical: bool = False, rounds: int = 30
) -> tuple[Ints, Floats]:
    """Each row's cluster and the centres (of length 1 if spherical), from k-means++ starts. No cluster is empty."""
    centres = vectors[[int(rng.integers(len(vectors)))]]
    for _ in range(1, count):
        far = _squared(vectors, centres).min(axis=1) + 1e-12
        centres = np.vstack([centres, vectors[rng.choice(len(vectors), p=far / far.sum())]])
    for _ in range(rounds):
        nearest = _squared(vectors, centres).argmin(axis=1)
        for cluster in range(count):
            inside = nearest == cluster
            centres[cluster] = vectors[inside].mean(axis=0) if inside.any() else vectors[rng.integers(len(vectors))]
        centres = unit(centres) if spherical else centres
    nearest = _squared(vectors, centres).argmin(axis=1)
    _, packed = np.unique(nearest, return_inverse=True)
    return packed, centres[np.unique(nearest)]


def whole_counts(shares: Floats, sizes: Ints, count: int) -> Ints:
    """``count`` rows over groups: in proportion to the shares, the rest to the largest fractions, none above its
    size; what a full group cannot take goes to the others in proportion."""
    taken = np.zeros(len(sizes), dtype=np.int64)
    while (left := min(count, int(sizes.sum())) - int(taken.sum())) > 0:
        room = sizes - taken
        open_ = np.where(room > 0, np.maximum(shares, 1e-12), 0)
        wish = left * open_ / open_.sum()
        more = np.floor(wish).astype(np.int64)
        more[np.argsort(more - wish, kind="stable")[: left - int(more.sum())]] += 1
        taken += np.minimum(more, room)
    return taken


def _squared(vectors: Floats, centres: Floats) -> Floats:
    product = vectors @ centres.T
    squared: Floats = (vectors**2).sum(axis=1)[:, None] - 2 * product + (centres**2).sum(axis=1)
    return np.maximum(squared, 0)
