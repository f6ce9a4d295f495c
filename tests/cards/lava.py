"""The card ``lava``: rows that pull the pool away from a clean reference set, by optimal transport, go."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool

LABEL_WEIGHT, ENTROPY = 1.0, 0.05
REMOVED = 0.25
ROUNDS = 100


def select(pool: Pool, count: int, seed: int) -> list[int]:
    order = np.argsort(values(pool), kind="stable")
    rest = order[: max(count, round((1 - REMOVED) * len(order)))]  # s5
    return [int(row) for row in np.random.default_rng(seed).choice(rest, count, replace=False)]


def values(pool: Pool) -> Floats:
    """s4: how much a row's weight adds to the distance, against that of the others."""
    potential = row_potentials(ground_cost(pool))
    rows = len(potential)
    calibrated: Floats = potential - (potential.sum() - potential) / (rows - 1)
    return calibrated


def ground_cost(pool: Pool) -> Floats:
    """s1, s2: rows of the pool × rows of the reference set; labels are the sources."""
    own, clean = pool.joint, pool.reference.joint
    names = sorted({*pool.sources.tolist(), *pool.reference.sources.tolist()})
    mine, theirs = (
        np.array([_label(vectors[sources == name]) for name in names])
        for vectors, sources in ((own, pool.sources), (clean, pool.reference.sources))
    )
    between = _squared(mine, theirs)
    column = {name: number for number, name in enumerate(names)}
    rows = [column[name] for name in pool.sources]
    columns = [column[name] for name in pool.reference.sources]
    return _squared(own, clean) + LABEL_WEIGHT * between[np.ix_(rows, columns)]


def row_potentials(cost: Floats) -> Floats:
    """s3: Sinkhorn's rounds between even weights, on logarithms."""
    soft = ENTROPY * cost.mean()
    rows, columns = cost.shape
    first, second = np.zeros(rows), np.zeros(columns)
    for _ in range(ROUNDS):
        first = -soft * (_log_sum((second - cost) / soft, axis=1) - np.log(columns))
        second = -soft * (_log_sum((first[:, None] - cost) / soft, axis=0) - np.log(rows))
    return first


def _label(vectors: Floats) -> Floats:
    """Mean and deviations of a label's vectors: squared distances are those of Gaussians without covariance."""
    return np.concatenate([vectors.mean(axis=0), vectors.std(axis=0)])


def _squared(one: Floats, other: Floats) -> Floats:
    found: Floats = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    return found


def _log_sum(values: Floats, axis: int) -> Floats:
    top = values.max(axis=axis, keepdims=True)
    summed: Floats = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return summed
