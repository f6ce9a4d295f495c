"""The card ``density-based-pruning``: complex clusters get more rows, and keep their least typical ones."""

from __future__ import annotations

import numpy as np
from cards.clusters import k_means
from cards.features import Floats, Ints, Pool

CLUSTERS, NEIGHBOURS, TEMPERATURE = 12, 20, 0.1
WEAK, ALIKE = 0.25, 0.95


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    matched = np.flatnonzero(pool.similarity >= np.quantile(pool.similarity, WEAK))  # s1
    left = matched[without_copies(pool.images[matched])]
    vectors = pool.images[left]
    cluster, centres = k_means(vectors, CLUSTERS, rng, spherical=True)  # s2
    shares = complexity_shares(vectors, cluster, centres)
    sizes = np.bincount(cluster)
    chosen: list[int] = []
    for number, keep in enumerate(counts(shares, sizes, count)):  # s6
        inside = np.flatnonzero(cluster == number)
        typical = vectors[inside] @ centres[number]
        chosen += left[inside[np.argsort(typical, kind="stable")[:keep]]].tolist()
    return chosen


def without_copies(vectors: Floats) -> Ints:
    """s1: of rows that are nearly the same the first stays."""
    kept: list[int] = []
    for row in range(len(vectors)):
        if not kept or (vectors[kept] @ vectors[row]).max() <= ALIKE:
            kept.append(row)
    return np.array(kept)


def complexity_shares(vectors: Floats, cluster: Ints, centres: Floats) -> Floats:
    own = 1 - (vectors * centres[cluster]).sum(axis=1)
    intra = np.bincount(cluster, own) / np.bincount(cluster)  # s3
    apart = np.sort(1 - centres @ centres.T, axis=1)[:, 1:]
    inter = apart[:, :NEIGHBOURS].mean(axis=1)
    powers = np.exp(inter * intra / TEMPERATURE)  # s4
    shares: Floats = powers / powers.sum()
    return shares


def counts(shares: Floats, sizes: Ints, count: int) -> Ints:
    """s5: the whole numbers nearest to ``count · shares`` between 1 and the sizes."""
    low, high = -float(count), float(sizes.max())
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(count * shares + middle, 1, sizes).sum() < count:
            low = middle
        else:
            high = middle
    exact = np.clip(count * shares + high, 1, sizes)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    open_ = np.flatnonzero(whole < sizes)
    largest = open_[np.argsort((whole - exact)[open_], kind="stable")]
    whole[largest[: count - int(whole.sum())]] += 1
    return whole
