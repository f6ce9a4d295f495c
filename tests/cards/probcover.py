"""The card ``probcover``: balls of one radius, each chosen row the one that covers most of what is not covered."""

from __future__ import annotations

import numpy as np
from cards.clusters import k_means
from cards.features import Floats, Pool, Rng, unit

PURITY, CLUSTERS = 0.95, 20
LOWERINGS = 20


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    vectors = unit(pool.joint - pool.joint.mean(axis=0))  # s1
    distance = np.sqrt(np.maximum(2 - 2 * vectors @ vectors.T, 0))
    np.fill_diagonal(distance, 0)
    delta = radius(vectors, distance, rng)
    chosen: list[int] = []
    for _ in range(LOWERINGS):
        edges = distance <= delta  # s3
        open_ = ~edges[chosen].any(axis=0)
        while len(chosen) < count and open_.any():  # s4
            reach = (edges & open_).sum(axis=1)
            chosen.append(int(reach.argmax()))
            open_ &= ~edges[chosen[-1]]
        delta *= 0.75  # s5
    rest = np.setdiff1d(np.arange(len(pool)), chosen)
    return chosen + [int(row) for row in rng.choice(rest, count - len(chosen), replace=False)]


def radius(vectors: Floats, distance: Floats, rng: Rng) -> float:
    """s2: the largest at which balls are pure enough."""
    labels, _ = k_means(vectors, CLUSTERS, rng)
    same = labels[:, None] == labels
    to_others = np.where(same, np.inf, distance).min(axis=1)  # a ball is pure below this radius
    return float(np.nextafter(np.quantile(to_others, 1 - PURITY, method="lower"), 0))
