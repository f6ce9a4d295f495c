"""The card ``online-data-mixing``: groups are a bandit's arms, their loss is the reward."""

from __future__ import annotations

import numpy as np
from cards.clusters import whole_counts
from cards.features import Floats, Pool

SMOOTHING = 0.9
MEASURED = 200
"""Rows of a group whose loss is measured."""


def select(pool: Pool, count: int, seed: int) -> list[int]:
    """One round as s6 has it for a single selection, with the losses of the base model."""
    rng = np.random.default_rng(seed)
    names, group = np.unique(pool.sources, return_inverse=True)  # s1
    sizes = np.bincount(group)
    losses = []
    for number in range(len(names)):
        rows = np.flatnonzero(group == number)
        losses.append(pool.loss[rng.choice(rows, min(MEASURED, len(rows)), replace=False)].mean())
    even = np.full(len(names), 1 / len(names))
    rewards = reward(np.zeros(len(names)), np.array(losses), even)
    chosen: list[int] = []
    for number, keep in enumerate(whole_counts(shares_of_attempts(rewards), sizes, count)):  # s4
        chosen += rng.choice(np.flatnonzero(group == number), keep, replace=False).tolist()
    return chosen


def reward(before: Floats, losses: Floats, probabilities: Floats) -> Floats:
    """s5"""
    return SMOOTHING * before + (1 - SMOOTHING) * losses / probabilities


def exploration(groups: int, step: int) -> float:
    """s2; step 0: the rate before the first round, which s3 needs."""
    return 1 / groups if step == 0 else min(1 / groups, float(np.sqrt(np.log(groups) / (groups * step))))


def shares(rewards: Floats, step: int) -> Floats:
    """s3: probabilities of round ``step`` (from 1) by the published rule."""
    groups = len(rewards)
    rate = exploration(groups, step)
    return (1 - groups * rate) * _softmax(exploration(groups, step - 1) * rewards) + rate


def shares_of_attempts(rewards: Floats) -> Floats:
    """s6: the card's own change where a round is an attempt."""
    spread = rewards.std()
    scaled = (rewards - rewards.mean()) / spread if spread > 0 else np.zeros_like(rewards)
    return 0.5 * _softmax(scaled) + 1 / (2 * len(rewards))


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max())
    share: Floats = powers / powers.sum()
    return share
