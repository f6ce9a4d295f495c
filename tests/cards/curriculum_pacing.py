"""The card ``curriculum-pacing``: easy rows first, the admitted part widened in exponential steps."""

from __future__ import annotations

from itertools import count as numbers

import numpy as np
from cards.clusters import whole_counts
from cards.features import Ints, Pool

START, INCREASE = 0.04, 1.9


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """In the order in which the rows are to be seen."""
    rng = np.random.default_rng(seed)
    order = easy_first(pool)
    prefixes = stages(len(pool))
    # s5: every stage has as many steps as another
    draws = whole_counts(np.ones(len(prefixes)), np.full(len(prefixes), count), count)
    chosen: list[int] = []
    for prefix, wanted in zip(prefixes, draws, strict=True):
        unused = np.setdiff1d(order[: max(prefix, len(chosen) + int(wanted))], chosen)
        chosen += [int(row) for row in rng.choice(unused, int(wanted), replace=False)]  # s4
    return chosen


def easy_first(pool: Pool) -> Ints:
    """s1, s2: by the loss under another model, the groups in their natural shares in every prefix."""
    difficulty = pool.loss_of_random_attempt
    place = np.zeros(len(pool))
    for source in np.unique(pool.sources):
        rows = np.flatnonzero(pool.sources == source)
        rows = rows[np.argsort(difficulty[rows], kind="stable")]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.argsort(place, kind="stable")


def stages(rows: int) -> list[int]:
    """s3: the admitted prefix of each stage, up to the whole pool."""
    sizes: list[int] = []
    for stage in numbers():
        sizes.append(round(rows * min(1.0, START * INCREASE**stage)))
        if sizes[-1] == rows:
            return sizes
    raise AssertionError
