"""Grounded, shallow, effective: what each asks for, and what is not enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.diagnostics.features import attempts_before, features
from curation_harness.diagnostics.flags import effective, grounded
from made_tries import BAND, SPREAD, TryMaker

METHOD = """
failure: rows of the pool repeat each other and the score stays where it was
evidence: [{attempt: 1, benchmark: mean, score: 0.55}]
cards: [k-center]
steps:
  - {card: k-center, step: s1, function: "policy.py:vectors"}
  - {card: k-center, step: s2, function: "policy.py:select"}
adapted: the first row is drawn by chance and not the one in the middle
"""


@pytest.fixture
def made(tmp_path: Path) -> TryMaker:
    return TryMaker(tmp_path)


def is_grounded(made: TryMaker):
    return grounded(made.tries[-1], attempts_before(made.tries, made.tries[-1]))


def adapted(made: TryMaker, **changes):
    made.add(BAND, mean=0.55)
    given = {
        "files": {"method.yaml": METHOD},
        "cited": ("k-center",),
        "read": ("k-center",),
        "functions": frozenset({("policy.py", "vectors"), ("policy.py", "select")}),
    }
    made.add(SPREAD, **{**given, **changes})
    return is_grounded(made)


def test_a_card_that_was_read_with_its_steps_at_work_is_grounds(made):
    assert adapted(made).value is True


def test_a_card_that_was_never_read_is_none(made):
    found = adapted(made, read=())
    assert found.value is False
    assert "not read" in found.evidence[0]


def test_a_step_that_was_not_entered_is_none(made):
    found = adapted(made, functions=frozenset({("policy.py", "select")}))
    assert found.value is False
    assert "vectors was not entered" in found.evidence[0]


def test_a_function_that_does_not_exist_is_none(made):
    assert adapted(made, files={"method.yaml": METHOD.replace(":vectors", ":imagined")}).value is False


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("Attempt 1 scored 0.55, so the loss band is narrowed to 0.3.", True),
        ("Counting was 0.31 in attempt 1: losses only up to 0.3.", True),
        ("Attempt 1 scored 0.55; we hope for better weather.", False),
        ("Attempt 1 scored 0.95, so the loss band is narrowed to 0.3.", False),
        ("Attempt 7 scored 0.55, so the loss band is narrowed to 0.3.", False),
        ("The loss band is narrowed to 0.3.", False),
    ],
    ids=["score", "benchmark", "nothing-that-fits", "wrong-score", "no-such-attempt", "no-score"],
)
def test_a_note_needs_a_true_score_by_number_and_a_change_that_fits(made, note, expected):
    made.add(BAND, mean=0.55, benchmarks={"counting": 0.31})
    made.add(BAND.replace("LOW, HIGH = 0.1, 0.6", "LOW, HIGH = 0.1, 0.3").replace("(loss", "(1.0 * loss"), note=note)
    assert is_grounded(made).value is expected


def test_words_alone_are_not_grounded(made):
    made.add(BAND, mean=0.55)
    made.add(BAND, note="Attempt 1 scored 0.55, so the loss band is narrowed.")
    assert is_grounded(made).value is False


def test_a_change_alone_is_not_grounded(made):
    made.add(BAND, mean=0.55)
    made.add(SPREAD)
    assert is_grounded(made).value is False


RESEARCH = """
observation: the mean stays low since the band of losses holds many wrong answers
evidence: [{attempt: 1, benchmark: mean, score: 0.55}]
hypothesis: {benchmark: mean, direction: up, by: 0.05, because: rows of lower loss are right more often than others}
change: {attempt: 1, functions: ["policy.py:<module>"], what: the upper end of the band goes down to three tenths}
"""


@pytest.mark.parametrize(("score", "expected"), [("0.55", True), ("0.75", False)], ids=["true", "made-up"])
def test_research_rests_on_scores_that_are_true_and_on_code_that_changed(made, score, expected):
    made.add(BAND, mean=0.55)
    files = {"research.yaml": RESEARCH.replace("0.55", score)}
    made.add(BAND.replace("0.1, 0.6", "0.1, 0.3"), files=files)
    assert is_grounded(made).value is expected


@pytest.mark.parametrize(
    ("mean", "floor", "expected"),
    [(0.60, 0.02, True), (0.56, 0.02, False), (0.50, 0.02, False), (0.60, None, None)],
    ids=["beyond", "inside", "below", "no-floor"],
)
def test_effective_is_beyond_the_noise_floor_over_the_best_before(made, mean, floor, expected):
    made.add(BAND, mean=0.55)
    made.add(BAND, mean=0.40)
    made.add(SPREAD, mean=mean)
    assert effective(features(made.view(floor=floor), made.tries[-1]), floor).value is expected


def test_the_first_attempt_is_neither_effective_nor_not(made):
    made.add(BAND, mean=0.9)
    assert effective(features(made.view(), made.tries[0]), 0.02).value is None
