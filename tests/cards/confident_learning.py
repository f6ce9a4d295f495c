"""The card ``confident-learning``: which labels are likely wrong, counted by class and pruned."""

from __future__ import annotations

import numpy as np
from cards.features import Floats, Ints, Pool, Rng

FOLDS = 5
ROUNDS, RATE, PENALTY = 300, 2.0, 1e-3
"""Of the softmax regression; of this file."""


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    rest = np.setdiff1d(np.arange(len(pool)), suspects(pool, rng))
    return [int(row) for row in rng.choice(rest, count, replace=False)]  # s5: the budget from the rest


def suspects(pool: Pool, rng: Rng) -> Ints:
    """Rows to remove."""
    names, labels = np.unique(pool.labels, return_inverse=True)  # s1: the answer's first word is a class
    chance = out_of_sample(pool.joint, labels, len(names), rng)
    own = chance[np.arange(len(labels)), labels]
    thresholds = np.array([own[labels == label].mean() for label in range(len(names))])  # s3
    sure = np.where(chance >= thresholds, chance, -1)  # s4
    guess, counted = sure.argmax(axis=1), sure.max(axis=1) >= 0
    joint = np.zeros((len(names), len(names)))
    np.add.at(joint, (labels[counted], guess[counted]), 1)
    sizes = np.bincount(labels, minlength=len(names))
    joint *= (sizes / np.maximum(joint.sum(axis=1), 1))[:, None]
    removed: set[int] = set()
    for label in range(len(names)):  # s5
        rows = np.flatnonzero(labels == label)
        for other in range(len(names)):
            if other != label:
                margin = chance[rows, other] - chance[rows, label]
                worst = np.argsort(-margin, kind="stable")[: round(joint[label, other])]
                removed.update(rows[worst].tolist())
    return np.array(sorted(removed), dtype=np.int64)


def out_of_sample(vectors: Floats, labels: Ints, classes: int, rng: Rng) -> Floats:
    """s2: probabilities of every class, each row's from a regression that has not seen it."""
    fold = rng.permutation(len(labels)) % FOLDS
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))])
    chance = np.zeros((len(labels), classes))
    for held in range(FOLDS):
        seen = fold != held
        wanted = np.eye(classes)[labels[seen]]
        weights = np.zeros((inputs.shape[1], classes))
        for _ in range(ROUNDS):
            error = _softmax(inputs[seen] @ weights) - wanted
            weights -= RATE * (inputs[seen].T @ error / seen.sum() + PENALTY * weights)
        chance[~seen] = _softmax(inputs[~seen] @ weights)
    return chance


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    share: Floats = powers / powers.sum(axis=1, keepdims=True)
    return share
