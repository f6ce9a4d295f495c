"""A run is killed (SIGKILL) wherever it writes, and resumed; in the end its record is that of an undisturbed run.

The long pass, every point: ``CURATION_WALK=all pytest tests/unit/test_harness_resume_walk.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from resume_child import RUN
from resume_walk import SMALL, Final_, Walk, one_of_each, outcome, provider_requests

every_point = pytest.mark.skipif(os.environ.get("CURATION_WALK") != "all", reason="the long pass: CURATION_WALK=all")
BROKEN = (*SMALL, "recipe.fault=raise", "budgets.refunds=1")
"""Every training fails, which is our fault: one attempt is given back, the next is not."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with Walk(tmp_path_factory.mktemp("walk")) as made:
        yield made


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with Walk(tmp_path_factory.mktemp("broken"), BROKEN) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(walk: Walk) -> tuple[Final_, list[str]]:
    return walk.undisturbed()


def failures(walk: Walk, want: Final_, points: Sequence[str]) -> dict[str, str]:
    found = {point: outcome(walk, want, point) for point in points}
    return {point: problem for point, problem in found.items() if problem is not None}


def test_a_run_killed_in_each_function_that_writes_comes_to_the_same_record(walk, undisturbed):
    want, points = undisturbed
    sample = one_of_each(points)
    assert len(sample) > 25  # far fewer, and the points are no longer seen
    assert failures(walk, want, sample) == {}


@every_point
@pytest.mark.slow
def test_a_run_killed_at_every_point_comes_to_the_same_record(walk, undisturbed):
    want, points = undisturbed
    assert failures(walk, want, points) == {}


def in_recovery(walk: Walk, first: str, folder: Path) -> list[str]:
    """Points of the process that resumes a run that was killed at ``first``, before it does anything new."""
    assert walk.process(folder, kill=first) < 0
    trace = folder / "resumed.txt"
    assert walk.process(folder, trace=trace) == 0
    return [point for point in trace.read_text().splitlines() if "curation_harness.run.recovery." in point]


def found(points: Sequence[str], part: str) -> str:
    """The first point whose name holds ``part``."""
    return next(point for point in points if part in point)


LOSING = (
    "curation_harness.agent.model_desk.ModelDesk._keep #1",
    "curation_harness.desk.intake.Intake._accept #1",
    "curation_harness.attempts.runner.AttemptRunner._scored #1",
)
"""Events whose loss is made up for."""


@pytest.mark.parametrize("part", LOSING, ids=["model-call", "accepted", "attempt-scored"])
def test_a_run_killed_again_while_it_is_put_right_comes_to_the_same_record(walk, undisturbed, part):
    want, points = undisturbed
    first = found(points, part)
    second = in_recovery(walk, first, walk.folder())
    assert second
    assert outcome(walk, want, first, second[len(second) // 2]) is None


def test_a_request_that_was_under_way_at_the_kill_is_on_the_ledger(walk, undisturbed):
    """The provider has it, and what it answered is not yet on disk."""
    _, points = undisturbed
    folder = walk.killed(found(points, "curation_harness.record.exchanges.ExchangeLog._keep"))
    assert folder is not None
    record = RunRecord.open_run(folder / "runs" / RUN)
    calls = record.events.of("model-call")
    lost = [call for call in calls if call.data["outcome"] == "lost"]
    assert len(lost) == 1
    assert lost[0].data["tokens"] > 0
    assert lost[0].data["dollars"] == lost[0].data["tokens"]  # a dollar a token
    assert ledger(record).model.requests == provider_requests(folder) == len(calls)
    assert len({call.data["id"] for call in calls}) == len(calls)


def test_failures_of_ours_are_counted_and_given_back_once(broken):
    want, points = broken.undisturbed()
    assert (want.ledger["iterations"], want.ledger["refunded"]) == (3, 1)
    sample = [point for point in points if "AttemptRunner._failed" in point or "write_result" in point]
    assert len(sample) > 10
    assert failures(broken, want, sample[::8]) == {}


@every_point
@pytest.mark.slow
def test_failures_of_ours_at_every_point(broken):
    want, points = broken.undisturbed()
    assert failures(broken, want, points) == {}
