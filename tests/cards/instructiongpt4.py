"""The card ``instructiongpt4``: a selector that learnt from the scores of subsets which indicators help."""

from __future__ import annotations

import numpy as np
from cards.clusters import k_means, whole_counts
from cards.features import Floats, Pool, Rng

COMPONENTS, SUBSETS, GROUPS, PENALTY = 16, 12, 8, 1.0


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    values = indicators(pool)
    scores = learn(pool, values, rng)
    cluster, _ = k_means(components(pool), GROUPS, rng)  # s4
    sizes = np.bincount(cluster)
    chosen: list[int] = []
    for number, keep in enumerate(whole_counts(np.ones(len(sizes)), sizes, count)):
        inside = np.flatnonzero(cluster == number)
        chosen += inside[np.argsort(-scores[inside], kind="stable")[:keep]].tolist()
    return chosen


def indicators(pool: Pool) -> Floats:
    """s1: similarity, length, a grade, and principal components; each of mean 0 and deviation 1."""
    lengths = [len(answer) for answer in pool.answers]
    grades = [pool.judge(answer) for answer in pool.answers]
    values = np.column_stack([pool.similarity, lengths, grades, components(pool)])
    scaled: Floats = (values - values.mean(axis=0)) / values.std(axis=0)
    return scaled


def components(pool: Pool) -> Floats:
    centred = pool.joint - pool.joint.mean(axis=0)
    found: Floats = centred @ np.linalg.svd(centred, full_matrices=False)[2][:COMPONENTS].T
    return found


def learn(pool: Pool, values: Floats, rng: Rng) -> Floats:
    """s2, s3: what a ridge regression from the indicators says of every row."""
    subset, _ = k_means(values, SUBSETS, rng)
    scores = np.array([pool.train(np.flatnonzero(subset == number)) for number in range(subset.max() + 1)])
    labels = scores[subset] - scores[subset].mean()
    inner = values.T @ values + PENALTY * np.eye(values.shape[1])
    found: Floats = values @ np.linalg.solve(inner, values.T @ labels)
    return found
