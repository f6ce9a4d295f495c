"""Feedback in steps of the noise floor: nothing that the agent is told tells more."""

from __future__ import annotations

import re

import pytest

import made_records as made
from curation_harness.attempts import feedback
from curation_harness.record.summary import floor
from curation_plugins.config import FeedbackRules


@pytest.fixture
def step() -> float:
    found = floor(made.made_references())
    assert found is not None
    return found


def told(level: float, seed: int, earlier=((1, 0.5),)):
    return feedback.compose(
        2, made.made_scores(level, seed), list(earlier), made.made_references(), FeedbackRules(coarse=True)
    )


def test_means_are_whole_steps_of_the_noise_floor(step):
    found = told(0.6, 1)
    assert found.by_benchmark is not None
    for value in (found.mean, found.best_so_far, *(score.mean for score in found.by_benchmark.values())):
        assert abs(value / step - round(value / step)) < 0.01


def test_the_sentence_says_no_more_than_the_figures(step):
    changes = {float(re.search(r"[+-]\d\.\d+", told(0.6, seed).message)[0]) for seed in range(12)}
    assert all(abs(change / step - round(change / step)) < 0.01 for change in changes)


def test_noise_about_one_level_is_told_as_few_different_scores(step):
    fine = {made.made_scores(0.6, seed).mean for seed in range(12)}
    assert len({told(0.6, seed).mean for seed in range(12)}) < len(fine) / 2


def test_without_a_measured_floor_scores_are_told_as_they_are():
    scores = made.made_scores(0.6, 1)
    assert feedback.compose(1, scores, [], None, FeedbackRules(coarse=True)).mean == round(scores.mean, 4)
