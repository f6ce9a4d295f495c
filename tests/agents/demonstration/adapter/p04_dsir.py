"""Rows whose words are those of well-matched pairs, drawn by importance, after DSIR."""

import itertools
import re
import zlib

import numpy as np
from pool import arguments, column, hand_in, room, words

BUCKETS = 2048
TARGET = 0.1


def counts(texts):
    """Hashed words and pairs of words."""
    table = np.zeros((len(texts), BUCKETS))
    for place, text in enumerate(texts):
        parts = re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text)
        for gram in [*parts, *(f"{left} {right}" for left, right in itertools.pairwise(parts))]:
            table[place, zlib.crc32(gram.encode()) % BUCKETS] += 1
    return table


def target(pool):
    """The pairs that agree best stand for what is asked of the model."""
    similarity = column(pool, "similarity")
    return np.flatnonzero(similarity >= np.nanquantile(similarity, 1 - TARGET))


def fit(table):
    total = table.sum(axis=0) + 0.5
    return total / total.sum()


def log_weights(table, wanted, pool):
    return np.round(table @ (np.log(wanted) - np.log(pool)) / np.maximum(table.sum(axis=1), 1), 6)


def gumbel_top(weights, count, seed):
    noise = -np.log(-np.log(np.random.default_rng(seed).random(len(weights))))
    return np.argsort(-(8.0 * weights + noise), kind="stable")[:count]


def main():
    given = arguments()
    table = counts(words(given.pool))
    weights = log_weights(table, fit(table[target(given.pool)]), fit(table))
    hand_in(given.out, gumbel_top(weights, room(len(table)), given.seed))


main()
