"""The card ``regmix``: a regression from shares to score, learnt on many small mixtures."""

from __future__ import annotations

import numpy as np
from cards.clusters import whole_counts
from cards.features import Floats, Ints, Pool, Rng

PROXIES, CANDIDATES, BEST = 24, 100_000, 100
"""Few proxies, so that the regression is the ridge of s4."""
PENALTY = 0.1
LEAST_SHARE = 1e-3
PROXY_ROWS = 60


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    _, group = np.unique(pool.sources, return_inverse=True)  # s1
    sizes = np.bincount(group)
    share = best_mixture(pool, group, sizes, count, rng)
    return draw(group, whole_counts(share, sizes, count), rng)  # s6


def best_mixture(pool: Pool, group: Ints, sizes: Ints, count: int, rng: Rng) -> Floats:
    tried = mixtures(sizes, PROXIES, PROXY_ROWS, rng)
    drawn = [draw(group, whole_counts(share, sizes, PROXY_ROWS), rng) for share in tried]
    scores = np.array([pool.train(np.array(rows)) for rows in drawn])  # s3
    inputs = _inputs(tried)  # s4
    middle, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-12
    scaled = (inputs - middle) / spread
    inner = scaled.T @ scaled + PENALTY * len(scaled) * np.eye(scaled.shape[1])
    weights = np.linalg.solve(inner, scaled.T @ (scores - scores.mean()))
    candidates = mixtures(sizes, CANDIDATES, count, rng)  # s5
    predicted = ((_inputs(candidates) - middle) / spread) @ weights
    best: Floats = candidates[np.argsort(-predicted, kind="stable")[:BEST]].mean(axis=0)
    return best


def mixtures(sizes: Ints, count: int, rows: int, rng: Rng) -> Floats:
    """s2: Dirichlet draws around the natural shares, without those that ask a group for more than it has."""
    natural = sizes / sizes.sum()
    strength = rng.uniform(0.1, 5, size=(4 * count, 1))
    raw = rng.standard_gamma(np.maximum(strength * natural, 1e-3))
    drawn = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-300)
    found: Floats = drawn[(drawn * rows <= sizes).all(axis=1)][:count]
    return found


def draw(group: Ints, counts: Ints, rng: Rng) -> list[int]:
    rows = [rng.choice(np.flatnonzero(group == number), keep, replace=False) for number, keep in enumerate(counts)]
    return [int(row) for row in np.concatenate(rows)]


def _inputs(shares: Floats) -> Floats:
    return np.hstack([shares, np.log(np.maximum(shares, LEAST_SHARE))])
