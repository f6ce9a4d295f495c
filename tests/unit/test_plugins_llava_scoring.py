"""Scoring rules of the tiny benchmarks, branch by branch."""

from __future__ import annotations

import pytest

from curation_plugins.tasks.llava.scoring import SCORERS
from curation_plugins.tasks.llava.tiny.questions import BENCHMARKS


@pytest.mark.parametrize(
    ("benchmark", "prediction", "gold", "score"),
    [
        ("digits", "7", "7", 1.0),
        ("digits", "It is a seven.", "7", 1.0),
        ("digits", "17", "7", 0.0),
        ("digits", "7 or 8", "7", 0.0),
        ("digits", "", "7", 0.0),
        ("counting", "There are 3 shapes", "3", 1.0),
        ("counting", "three", "3", 1.0),
        ("counting", "many", "3", 0.0),
        ("signs", " Stop. ", "stop", 1.0),
        ("signs", "stop sign", "stop", 0.0),
        ("lookup", "a circle", "circle", 1.0),
        ("lookup", "red circle", "circle", 0.0),
        ("existence", "Yes, there is.", "yes", 1.0),
        ("existence", "yes and no", "yes", 0.0),
        ("existence", "yesterday", "yes", 0.0),
        ("existence", "no", "yes", 0.0),
    ],
)
def test_score(benchmark: str, prediction: str, gold: str, score: float) -> None:
    assert SCORERS[benchmark](prediction, gold) == score


def test_every_tiny_benchmark_has_a_rule() -> None:
    assert set(BENCHMARKS) <= SCORERS.keys()
