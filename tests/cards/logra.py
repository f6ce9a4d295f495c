"""The card ``logra``: influence on target rows through the inverse Fisher matrix of projected gradients."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool

DAMPING = 0.1


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """Nothing in it is random. s1: the sketches are the pool's."""
    targets = np.vstack([target.gradients for target in pool.targets])  # s2
    score = relative_influence(pool.gradients, targets).mean(axis=1)  # s5
    return [int(row) for row in np.argsort(-score, kind="stable")[:count]]


def relative_influence(gradients: Floats, targets: Floats) -> Floats:
    """Rows × target rows."""
    fisher = gradients.T @ gradients / len(gradients)  # s3
    damped = fisher + DAMPING * np.trace(fisher) / len(fisher) * np.eye(len(fisher))
    solved = np.linalg.solve(damped, gradients.T).T
    lengths = np.sqrt((solved * gradients).sum(axis=1))
    influence: Floats = solved @ targets.T / lengths[:, None]  # s4
    return influence
