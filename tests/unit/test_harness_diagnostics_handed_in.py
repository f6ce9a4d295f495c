"""What a run's events tell of its submissions; events that are not those of a run are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import made_records as made
from curation_harness.diagnostics.diagnosis import RunDiagnosis, diagnose
from curation_harness.diagnostics.handed_in import handed_in
from curation_harness.diagnostics.labels import label
from curation_harness.diagnostics.tries import read_run
from curation_harness.errors import RecordInvalid
from curation_harness.record.store import RunRecord

START = datetime(2026, 6, 1, 10, tzinfo=UTC)

Lines = list[dict[str, Any]]


def rewritten(record: RunRecord, change: Callable[[Lines], Lines]) -> RunRecord:
    """The record with other events, numbered anew, opened as a reader opens it."""
    path = record.folder / "events.jsonl"
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps({**line, "seq": seq}) + "\n" for seq, line in enumerate(lines, start=1)))
    return RunRecord.open_run(record.folder)


def event(at: float, kind: str, **data: object) -> dict[str, Any]:
    """An event so many seconds after the start."""
    return {"time": (START + timedelta(seconds=at)).isoformat(), "kind": kind, "data": data}


def call(at: float, dollars: float | None) -> dict[str, Any]:
    return event(at, "model-call", id="x", outcome="ok", status=200, tokens=100, dollars=dollars, seconds=1.0)


COURSE = [
    event(0, "created"),
    call(3, 0.5),
    event(10, "accepted", n=1, digest="d", rows=1),
    event(10, "clock", agent_seconds=10.0),  # the clock stops once the host has something to do
    event(40, "attempt-scored", n=1, mean=0.5),
    event(44, "refused", n=1, codes=["unknown-row"]),  # the clock goes on
    event(45, "method-read", id="dsir"),
    call(46, 0.25),
    event(50, "accepted", n=2, digest="d", rows=1),
    event(50, "clock", agent_seconds=10.0),
    event(140, "clock", agent_seconds=60.0),  # a tick
    call(141, None),
    event(145, "accepted", n=3, digest="d", rows=1),
    event(145, "clock", agent_seconds=5.0),
    event(146, "accepted", n=4, digest="d", rows=1),  # handed in while the host works
    event(157, "clock", agent_seconds=7.0),
    call(158, 2.0),
]


@pytest.fixture
def course(tmp_path: Path) -> RunRecord:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    return rewritten(record, lambda lines: COURSE)


def test_seconds_are_of_the_try_that_they_led_to(course):
    found, afterwards = handed_in(course)
    took = [(one.kind, one.n, one.spent.agent_seconds) for one in found]
    assert took == [
        ("accepted", 1, pytest.approx(10)),
        ("refused", 1, pytest.approx(4)),
        ("accepted", 2, pytest.approx(6)),
        ("accepted", 3, pytest.approx(65)),
        ("accepted", 4, pytest.approx(0)),
    ]
    assert afterwards.agent_seconds == pytest.approx(7)


def test_money_and_tokens_are_of_the_try_that_comes_next(course):
    found, afterwards = handed_in(course)
    assert [one.spent.dollars for one in found] == [0.5, 0.0, 0.25, 0.0, 0.0]
    assert [one.spent.tokens for one in found] == [100, 0, 100, 100, 0]
    assert (afterwards.dollars, afterwards.tokens) == (2.0, 100)


def test_cards_count_from_when_they_were_read(course):
    assert [one.cards_read for one in handed_in(course)[0]] == [(), (), ("dsir",), ("dsir",), ("dsir",)]


def test_a_clock_that_was_put_back_loses_no_second(course):
    def put_back(lines: Lines) -> Lines:
        return [{**line, "time": START.isoformat()} if line["kind"] == "clock" else line for line in lines]

    found, afterwards = handed_in(rewritten(course, put_back))
    assert sum(one.spent.agent_seconds for one in found) + afterwards.agent_seconds == pytest.approx(92)


def test_a_run_took_what_its_tries_took_and_what_came_after(tmp_path):
    whole = diagnosed(made.made_run(tmp_path, attempts=4))
    assert whole.agent_seconds == pytest.approx(4 * 41.5)
    assert sum(one.agent_seconds for one in whole.tries) <= whole.agent_seconds
    assert whole.host_seconds == pytest.approx(3 * 44.0)  # one of the four failed


def diagnosed(record: RunRecord) -> RunDiagnosis:
    return diagnose(read_run(record), label)


def data(kind: str, **changed: object) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        return [{**line, "data": {**line["data"], **changed}} if line["kind"] == kind else line for line in lines]

    return change


def without(kind: str) -> Callable[[Lines], Lines]:
    return lambda lines: [{**line, "data": {}} if line["kind"] == kind else line for line in lines]


def twice(kind: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        place = next(place for place, line in enumerate(lines) if line["kind"] == kind)
        return [*lines[: place + 1], lines[place], *lines[place + 1 :]]

    return change


def out_of_order(lines: Lines) -> Lines:
    first, second = (place for place, line in enumerate(lines) if line["kind"] == "accepted")
    lines[first], lines[second] = lines[second], lines[first]
    return lines


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (out_of_order, "accepted 1 after 2"),
        (twice("accepted"), "accepted 1 after 1"),
        (twice("refused"), "refused 1 after 1"),
        (without("accepted"), "KeyError: 'n'"),
        (data("accepted", n=[1]), "not 'list'"),
        (data("clock", agent_seconds="long"), "long"),
        (data("clock", agent_seconds=float("nan")), "nan spent"),
        (data("clock", agent_seconds=-1e9), "spent"),
        (lambda lines: [{**line, "time": "yesterday"} for line in lines], "yesterday"),
    ],
    ids=["order", "accepted-twice", "refused-twice", "no-number", "list", "text", "nan", "negative", "no-time"],
)
def test_damaged_events_are_named_and_nothing_is_counted(tmp_path, change, told):
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    for n in (1, 2):
        made.write_attempt(record, n)
        record.events.append("clock", agent_seconds=41.5)
    made.write_refusal(record, 1, "no")
    record = rewritten(record, change)
    with pytest.raises(RecordInvalid, match=r"events\.jsonl") as caught:
        read_run(record)
    assert told in str(caught.value)


def test_a_scored_attempt_whose_acceptance_is_gone_is_named(tmp_path):
    def lose(lines: Lines) -> Lines:
        return [line for line in lines if line["kind"] != "accepted" or line["data"]["n"] != 2]

    record = RunRecord.create(tmp_path, made.made_spec(), None)
    for n in (1, 2):
        made.write_attempt(record, n)
        made.write_score(record, n, 0.5)
    with pytest.raises(RecordInvalid, match="attempt 2 was accepted"):
        read_run(rewritten(record, lose))


def test_a_run_without_a_submission_and_one_of_refusals_alone_are_told(tmp_path):
    record = RunRecord.create(tmp_path, made.made_spec("empty"), made.made_references())
    assert diagnosed(record).summary.tries == 0
    for n in range(1, 4):
        made.write_refusal(record, n, "no")
    found = diagnosed(RunRecord.open_run(record.folder))
    assert (found.summary.refused, found.summary.gap) == (3, None)


@pytest.mark.parametrize(
    "text",
    [b"", b"import random\n", b"def unused(rows):\n    return sorted(rows)\n"],
    ids=["no-bytes", "import", "never-called"],
)
def test_code_that_computes_nothing_is_no_random_selection(tmp_path, text):
    record = RunRecord.create(tmp_path, made.made_spec(), made.made_references())
    made.write_attempt(record, 1, policy={"policy.py": text})
    made.write_score(record, 1, 0.5)
    found = diagnosed(record)
    assert found.tries[0].labelled is not None
    assert found.tries[0].labelled.label == "unreadable"
    assert "computes nothing" in found.tries[0].features.unreadable
