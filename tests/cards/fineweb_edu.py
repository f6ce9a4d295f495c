"""The card ``fineweb-edu``: a model grades a sample, a linear head learns the grade, rows of 3 and more stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cards.features import Floats, Pool, Rng

THRESHOLD, SAMPLE, HELD_OUT = 3, 200, 0.1


@dataclass(frozen=True)
class Graded:
    """What the head says of all rows, and how well it does on rows held out."""

    grades: Floats
    f1: float


def select(pool: Pool, count: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    grades = grade(pool, rng).grades
    kept = np.flatnonzero(np.round(grades) >= THRESHOLD)  # s3
    if len(kept) >= count:  # s4
        return [int(row) for row in rng.choice(kept, count, replace=False)]
    return [int(row) for row in np.argsort(-grades, kind="stable")[:count]]


# s5 is advice on whole attempts: nothing to do in one selection


def grade(pool: Pool, rng: Rng) -> Graded:
    sample = rng.choice(len(pool), SAMPLE, replace=False)  # s1
    marks = np.array([pool.judge(f"{pool.prompts[row]} {pool.answers[row]}") for row in sample], dtype=np.float64)
    inputs = np.hstack([pool.joint, np.ones((len(pool), 1))])  # s2
    held, learnt = np.split(np.arange(SAMPLE), [round(HELD_OUT * SAMPLE)])
    head = np.linalg.lstsq(inputs[sample[learnt]], marks[learnt], rcond=None)[0]
    grades: Floats = inputs @ head
    said, right = np.round(grades[sample[held]]) >= THRESHOLD, marks[held] >= THRESHOLD
    return Graded(grades=grades, f1=2 * float((said & right).sum()) / max(float(said.sum() + right.sum()), 1))
