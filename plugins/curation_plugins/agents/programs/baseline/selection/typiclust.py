"""The most typical row of every cluster, one cluster after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import directions, members, neighbours, part, spherical_k_means
from .method import Method, Parameters, Rows
from .pool import Pool

CLUSTERS = 500
"""At most."""
NEIGHBOURS = 20
"""Whose mean distance says how typical a row is."""
SMALLEST = 6
"""Rows of a cluster below which it is left out."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Round after round, from the largest cluster to the smallest, the most typical row not yet chosen."""
    rows = part(pool, count, rng)
    points = directions(pool, rows)
    cluster, centroids = spherical_k_means(points, min(count, CLUSTERS), rng)
    inside = [group for group in members(cluster, len(centroids)) if len(group) >= SMALLEST]
    inside.sort(key=len, reverse=True)
    ranked = [group[np.argsort(-typicality(points[group]), kind="stable")] for group in inside]
    chosen: list[int] = []
    for turn in range(max(map(len, ranked), default=0)):
        chosen += [int(group[turn]) for group in ranked if turn < len(group)]
        if len(chosen) >= count:
            break
    return rows[np.array(chosen[:count], dtype=np.int64)]


def typicality(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """One over the mean Euclidean distance to the nearest neighbours within the cluster."""
    _, cosine = neighbours(points, NEIGHBOURS)
    distance = np.sqrt(np.maximum(0.0, 2 - 2 * cosine.astype(np.float64))).mean(axis=1)
    typical: NDArray[np.float64] = np.round(1 / (distance + 1e-5), 4)
    return typical


METHOD = Method(
    name="typiclust",
    summary="the most typical rows of every cluster, taken in turn",
    citation="Hacohen et al. 2022, Active Learning on a Budget: Opposite Strategies Suit High and Low"
    " Budgets (TypiClust), arXiv:2202.02794",
    where="section 3: typicality, and the algorithm (k-means variant)",
    differs="a cluster's typicalities are computed once, not anew after each choice; in a large pool among a"
    " random part",
    needs=("embedding",),
    settings=({},),
    select=select,
)
