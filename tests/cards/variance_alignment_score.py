"""The card ``variance-alignment-score``: rows that lie along the directions in which the targets vary most."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Ints, Pool

CLIP_KEEP, DROPPED = 0.5, 0.1


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """Nothing in it is random."""
    kept = well_matched(pool, count)
    score = alignment(pool.images[kept], np.vstack([target.images for target in pool.targets]))
    return [int(row) for row in kept[np.argsort(-score, kind="stable")[:count]]]  # s4


def select_without_targets(pool: Pool, count: int) -> list[int]:
    """s5"""
    kept = well_matched(pool, count)
    while len(kept) > count:
        score = alignment(pool.images[kept], pool.images[kept])
        stay = max(count, len(kept) - max(1, int(DROPPED * len(kept))))
        kept = np.sort(kept[np.argsort(-score, kind="stable")[:stay]])
    return [int(row) for row in kept]


def well_matched(pool: Pool, count: int) -> Ints:
    """s1, in the order of rows"""
    best = np.argsort(-pool.similarity, kind="stable")[: max(count, round(CLIP_KEEP * len(pool)))]
    return np.sort(best)


def alignment(images: Floats, targets: Floats) -> Floats:
    """s2, s3"""
    second_moment = targets.T @ targets / len(targets)
    found: Floats = ((images @ second_moment) * images).sum(axis=1)
    return found
