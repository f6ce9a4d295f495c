"""The order in which events can come: what a real run does passes, and what none does is named with its line."""

from __future__ import annotations

from typing import Any

import pytest

from curation_harness.errors import RecordInvalid
from curation_harness.record.event_data import DATA
from curation_harness.record.event_order import Walk, follow
from curation_harness.record.events import KINDS, Event

DIGEST = "ab" * 32
TIME = "2026-06-01T10:00:00.000+00:00"

Told = tuple[str, dict[str, Any]]

CREATED: Told = ("created", {})
START: Told = ("agent-started", {"container": "c", "turn": 1})
EXIT: Told = ("agent-exited", {"code": 0, "oom_killed": False, "turn": 1})
RESUMED: Told = ("resumed", {})
OVER: Told = ("agent-over", {})


def accepted(n: int) -> Told:
    return "accepted", {"n": n, "digest": DIGEST, "rows": 5}


def started(n: int) -> Told:
    return "attempt-started", {"n": n}


def scored(n: int, mean: float = 0.5) -> Told:
    return "attempt-scored", {"n": n, "mean": mean}


def failed(n: int, *, refunded: bool = True) -> Told:
    return "attempt-failed", {"n": n, "failure": "WorkerCrashed", "refunded": refunded}


def headline(n: int) -> Told:
    return "headline-started", {"attempt": n}


def seed(k: int) -> Told:
    return "headline-seed", {"k": k, "seed": 100 + k}


def ended(status: str) -> Told:
    return "ended", {"status": status}


def call(n: int) -> Told:
    data = {"id": n, "outcome": "ok", "status": 200, "tokens": 1, "dollars": None, "seconds": 0.1}
    return "model-call", data


def asked(n: int) -> Told:
    return "model-asked", {"id": n, "model": "m", "tokens": 1}


def walk(*told: Told) -> Walk:
    return follow(Event(seq=seq, time=TIME, kind=kind, data=data) for seq, (kind, data) in enumerate(told, start=1))


ONE = (accepted(1), started(1), scored(1))
WHOLE = (CREATED, START, *ONE, EXIT, OVER, headline(1), seed(1), seed(2), ended("scored"))


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(WHOLE, id="a whole run"),
        pytest.param((*WHOLE, ("worker", {"what": "worker-ended", "pid": 1})), id="a worker ends after the run"),
        pytest.param((CREATED, START, EXIT, OVER, ended("empty")), id="no attempt"),
        pytest.param(
            (CREATED, START, *ONE, EXIT, OVER, ended("failed"), RESUMED, headline(1), ended("scored")), id="finished"
        ),
        pytest.param(
            (CREATED, START, accepted(1), started(1), RESUMED, started(1), scored(1)), id="killed in training"
        ),
        pytest.param(
            (CREATED, START, RESUMED, ("agent-started", {"container": "c", "turn": 2})), id="killed in a turn"
        ),
        pytest.param((CREATED, START, accepted(1), started(1), scored(1), RESUMED), id="killed after a score"),
        pytest.param((CREATED, START, accepted(1), started(1), failed(1), accepted(2)), id="a failure of ours"),
        pytest.param(
            (CREATED, *ONE, headline(1), seed(1), RESUMED, headline(1), seed(2)), id="headline in two parts"
        ),
        pytest.param(
            (
                CREATED,
                *ONE,
                headline(1),
                seed(1),
                RESUMED,
                accepted(2),
                started(2),
                scored(2, 0.9),
                headline(2),
                seed(1),
            ),
            id="another best attempt after a resume",
        ),
        pytest.param((CREATED, asked(1), asked(2), call(2), call(1)), id="requests side by side"),
        pytest.param((CREATED, call(1), call(2)), id="an older format announces no requests"),
    ],
)
def test_what_a_run_does_is_followed(told: tuple[Told, ...]) -> None:
    walk(*told)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ((), "no events"),
        ((START,), "line 1.*the first event of a run is `created`"),
        ((CREATED, CREATED), "line 2.*created once"),
        ((CREATED, ("agent-started", {"container": "c", "turn": 2})), "turn 2 comes after turn 0"),
        ((CREATED, START, START), "turn 1 of the agent was not over"),
        ((CREATED, EXIT), "no turn of the agent was open"),
        ((CREATED, START, OVER), "was not over"),
        ((CREATED, accepted(2)), "attempt 2 comes after 0"),
        ((CREATED, accepted(1), accepted(1)), "attempt 1 comes after 1"),
        ((CREATED, accepted(1), accepted(2)), "attempt 1 had no result yet"),
        ((CREATED, started(1)), "attempt 1 was not accepted"),
        ((CREATED, accepted(1), started(1), started(1)), "started before"),
        ((CREATED, *ONE, started(1)), "attempt 1 has its result"),
        ((CREATED, *ONE, scored(1)), "has its result already"),
        ((CREATED, *ONE, failed(1)), "has its result already"),
        ((CREATED, scored(1)), "attempt 1 was not accepted"),
        ((CREATED, ("refused", {"n": 2, "codes": []})), "refusal 2 comes after 0"),
        ((CREATED, ("duplicate", {"attempt": 1, "key": "k"})), "no attempt 1"),
        ((CREATED, call(1), call(1)), "request 1 was through already"),
        ((CREATED, asked(1), call(1), call(2)), "request 2 was not announced"),
        ((CREATED, asked(1), asked(1)), "request 1 was sent before"),
        ((CREATED, headline(1)), "attempt 1 is not the best"),
        ((CREATED, *ONE, accepted(2), started(2), scored(2, 0.9), headline(1)), "not the best one, attempt 2 is"),
        ((CREATED, *ONE, accepted(2), started(2), scored(2, 0.5), headline(2)), "attempt 1 is"),
        ((CREATED, *ONE, accepted(2), headline(1)), "attempt 2 had no result yet"),
        ((CREATED, seed(1)), "no headline"),
        ((CREATED, *ONE, headline(1), seed(1), seed(1)), "seed 1 of the headline was trained already"),
        ((CREATED, *ONE, ended("scored")), "there was no headline"),
        ((CREATED, *ONE, ended("empty")), "attempt 1 was scored"),
        ((CREATED, accepted(1), ended("empty")), "attempt 1 had no result yet"),
        ((CREATED, ended("running")), "no run ends as running"),
        ((*WHOLE, START), "the run had ended"),
        ((*WHOLE, ended("scored")), "the run had ended"),
        ((CREATED, ("checkpoint-kept", {"n": 1, "bytes": 5})), "attempt 1 was not accepted"),
        ((CREATED, ("clock", {"agent_seconds": -1.0})), "agent_seconds"),
        ((CREATED, ("clock", {})), "agent_seconds"),
        ((CREATED, ("clock", {"agent_seconds": 1.0, "more": 1})), "more"),
        ((CREATED, ("invented", {})), "no kind of event"),
    ],
)  # fmt: skip
def test_what_no_run_does_is_named(told: tuple[Told, ...], why: str) -> None:
    with pytest.raises(RecordInvalid, match=why):
        walk(*told)


def test_a_jump_of_the_wall_clock_is_no_disorder() -> None:
    later, earlier = "2026-06-01T10:00:00.000+00:00", "2020-01-01T00:00:00.000+00:00"
    follow(
        [
            Event(seq=1, time=later, kind="created", data={}),
            Event(seq=2, time=earlier, kind="clock", data={"agent_seconds": 1.0}),
        ]
    )


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(RecordInvalid, match=r"line 1.*its time"):
        follow([Event(seq=1, time="yesterday", kind="created", data={})])


def test_every_kind_of_event_has_a_type() -> None:
    assert set(DATA) == set(KINDS)
