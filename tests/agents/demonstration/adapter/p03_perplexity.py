"""Rows of middling perplexity under the base model, after Marion et al."""

import numpy as np
from pool import arguments, column, hand_in, room

SHARE = 0.3


def perplexity(pool):
    return np.exp(np.minimum(column(pool, "answer_loss"), 50.0))


def middle(values):
    low, high = np.quantile(values, [0.4 - SHARE / 2, 0.4 + SHARE / 2])
    return np.flatnonzero((values >= low) & (values <= high))


def draw(rows, count, seed):
    return np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)


def main():
    given = arguments()
    values = perplexity(given.pool)
    hand_in(given.out, draw(middle(values), room(len(values)), given.seed))


main()
