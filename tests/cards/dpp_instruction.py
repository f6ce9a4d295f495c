"""The card ``dpp-instruction``: greedy choice of rows that span a large volume."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool, unit

RIDGE = 0.1


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """Nothing in it is random: every seed gives the same rows."""
    features = unit(pool.joint)  # s1: a vector that all rows have
    return greedy(kernel(features, np.ones(len(features)), count), count)


def kernel(features: Floats, quality: Floats, count: int) -> Floats:
    found: Floats = quality[:, None] * (features @ features.T) * quality  # s2
    if count > features.shape[1]:
        found = found + RIDGE * np.eye(len(found))  # s4
    return found


def greedy(found: Floats, count: int) -> list[int]:
    """s3"""
    left = np.diag(found).copy()
    columns = np.zeros((len(found), count))
    chosen: list[int] = []
    for step in range(count):
        best = int(np.where(np.isin(np.arange(len(left)), chosen), -np.inf, left).argmax())
        if left[best] < 1e-10:
            break
        error = (found[best] - columns @ columns[best]) / np.sqrt(left[best])
        columns[:, step] = error
        left = left - error**2
        chosen.append(best)
    return chosen


def volume(found: Floats, rows: list[int]) -> float:
    """s5: the log determinant over these rows."""
    return float(np.linalg.slogdet(found[np.ix_(rows, rows)])[1])
