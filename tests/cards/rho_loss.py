"""The card ``rho-loss``: rows that are learnable and not yet learnt."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Pool

KEPT, BATCH = 32, 320


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """One selection under the base model; s6, the next one, needs the attempt that trains on this."""
    rng = np.random.default_rng(seed)
    rho = reducible(pool)
    candidates = rng.permutation(np.setdiff1d(np.arange(len(pool)), pool.holdout))  # s1
    candidates = candidates[: round(count * BATCH / KEPT)]
    share = max(KEPT / BATCH, count / len(candidates))
    chosen: list[int] = []
    for start in range(0, len(candidates), BATCH):  # s5
        batch = np.sort(candidates[start : start + BATCH])
        keep = min(round(share * min(start + BATCH, len(candidates))), count) - len(chosen)
        chosen += batch[np.argsort(-rho[batch], kind="stable")[:keep]].tolist()
    return chosen


def reducible(pool: Pool) -> Floats:
    irreducible = pool.loss_of_random_attempt  # s2
    current = pool.loss  # s3
    return current - irreducible  # s4
