"""Pairs whose image and text agree, after DataComp's CLIP score filter."""

import numpy as np
from pool import arguments, column, hand_in, room

FRACTION = 0.3


def agreement(pool):
    similarity = column(pool, "similarity")
    return np.where(np.isnan(similarity), -np.inf, similarity)


def threshold(scores):
    known = np.sort(scores[np.isfinite(scores)])[::-1]
    return known[int(FRACTION * len(known))]


def keep(scores, least):
    return np.flatnonzero(scores >= least)


def draw(rows, count, seed):
    return np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)


def main():
    given = arguments()
    scores = agreement(given.pool)
    kept = keep(scores, threshold(scores))
    hand_in(given.out, draw(kept, room(len(scores)), given.seed))


main()
