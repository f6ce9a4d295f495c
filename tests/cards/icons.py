"""The card ``icons``: every target task votes for the rows of most influence on it."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool, unit

SHARE = 0.2


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """Nothing in it is random. s1: the gradients are those of the model at hand."""
    return by_votes(influences(pool), count)


def by_votes(influence: Floats, count: int) -> list[int]:
    limits = np.quantile(influence, 1 - SHARE, axis=0)
    votes = (influence >= limits).sum(axis=1)  # s5
    ranks = np.argsort(np.argsort(-influence, axis=0, kind="stable"), axis=0).mean(axis=1)
    order = np.lexsort((ranks, -votes))  # s6
    return [int(row) for row in order[:count]]


def influences(pool: Pool) -> Floats:
    """Rows × tasks."""
    rows = unit(pool.gradients)  # s3
    means = [(rows @ unit(target.gradients).T).mean(axis=1) for target in pool.targets]  # s2, s4
    return np.stack(means, axis=1)
