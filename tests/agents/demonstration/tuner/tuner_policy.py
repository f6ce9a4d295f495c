"""Random rows by shares of the sources, with a few thresholds: all there is to turn are numbers."""

import numpy as np
from pool import arguments, column, hand_in, room, sources

SHARES = {}
SHORTEST = 0
LONGEST = 10_000
LEFT_OUT = ()
SEED_PLUS = 0
FACTOR = 1.0


def main():
    given = arguments()
    source = sources(given.pool)
    length = column(given.pool, "answer_chars")
    rng = np.random.default_rng(given.seed + SEED_PLUS)
    wanted = int(room(len(source)) * FACTOR)
    names = [name for name in sorted(set(source)) if name not in LEFT_OUT]
    weights = np.array([SHARES.get(name, 1.0) for name in names])
    chosen = []
    for name, share in zip(names, weights / weights.sum(), strict=True):
        fitting = np.flatnonzero((source == name) & (length >= SHORTEST) & (length <= LONGEST))
        count = min(len(fitting), int(wanted * share))
        chosen += list(rng.choice(fitting, count, replace=False))
    hand_in(given.out, chosen)


main()
