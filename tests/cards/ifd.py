"""The card ``ifd``: rows whose instruction does not yet help much, but does not harm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from cards.features import Floats, Pool

TOKENS_PER_WORD = 1.0
"""In the table a token is a word."""
LEAST_WORDS = 3
SMOOTHING = 1.0
"""Weight of the unigram in the 2-gram model, in counts; of this file."""


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """Nothing in it is random. s1: the losses are those of an attempt on a few rows of every cluster."""
    ratio = difficulty(pool)
    long = np.array([len(answer.split()) >= LEAST_WORDS for answer in pool.answers])
    usable = np.where((ratio < 1) & long, ratio, -np.inf)  # s4
    order = np.argsort(-usable, kind="stable")[:count]  # s5
    return [int(row) for row in order if usable[row] > 0]


def difficulty(pool: Pool) -> Floats:
    """s2, s3: loss with the instruction over loss without."""
    alone = np.array(nats_per_word(pool.answers)) / TOKENS_PER_WORD
    ratio: Floats = pool.loss_with_experience / alone
    return ratio


def nats_per_word(answers: Sequence[str]) -> list[float]:
    """Mean negative log probability of each answer's words under a smoothed 2-gram model of all the others."""
    said = [["", *answer.split()] for answer in answers]
    words = Counter(word for line in said for word in line[1:])
    firsts = Counter(word for line in said for word in line[:-1])
    pairs = Counter(pair for line in said for pair in pairwise(line))
    total, kinds = words.total(), len(words)
    found = []
    for line in said:
        mine, mine_first, mine_pairs = Counter(line[1:]), Counter(line[:-1]), Counter(pairwise(line))
        nats = 0.0
        for one, two in pairwise(line):
            alone = (words[two] - mine[two] + 1) / (total - mine.total() + kinds)
            after = pairs[one, two] - mine_pairs[one, two] + SMOOTHING * alone
            nats -= float(np.log(after / (firsts[one] - mine_first[one] + SMOOTHING)))
        found.append(nats / (len(line) - 1))
    return found
