"""The card ``activeft``: free points that lie where the pool lies and far from each other."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool, unit

TEMPERATURE, SPREAD_WEIGHT = 0.07, 1.0
STEPS, RATE = 300, 0.001


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    rows = unit(pool.joint - pool.joint.mean(axis=0))  # s1
    points = rows[rng.choice(len(rows), count, replace=False)]  # s2
    first, second = np.zeros_like(points), np.zeros_like(points)
    for step in range(1, STEPS + 1):  # s3: Adam
        slope = gradient(rows, points)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        points = points - RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        points = unit(points)
    near = points @ rows.T
    chosen: list[int] = []
    for cosines in near:  # s4
        cosines[chosen] = -np.inf
        chosen.append(int(cosines.argmax()))
    return chosen  # s5 is for thousands of points: not these


def goal(rows: Floats, points: Floats) -> float:
    """What s3 minimises."""
    apart = points @ points.T / TEMPERATURE
    np.fill_diagonal(apart, -np.inf)
    crowd = np.log(np.exp(apart).sum(axis=1)).mean()
    return float(-(rows @ points.T).max(axis=1).mean() / TEMPERATURE + SPREAD_WEIGHT * crowd)


def gradient(rows: Floats, points: Floats) -> Floats:
    """Of ``goal`` with respect to the points."""
    nearest = (rows @ points.T).argmax(axis=1)
    pull = np.zeros_like(points)
    np.add.at(pull, nearest, rows)
    apart = points @ points.T / TEMPERATURE
    np.fill_diagonal(apart, -np.inf)
    weights = np.exp(apart - apart.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    push = (weights + weights.T) @ points / TEMPERATURE  # a pair stands in the sums of both of its points
    slope: Floats = -pull / len(rows) / TEMPERATURE + SPREAD_WEIGHT * push / len(points)
    return slope
