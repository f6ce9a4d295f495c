"""Failures of ours during an attempt, made on purpose in real workers: class, retry, refund, event, what is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curation_harness.attempts import runner as attempts
from curation_harness.record.models import AttemptSubmission
from curation_harness.record.state import iterations_left, ledger
from curation_harness.record.store import RunRecord
from curation_harness.run.loop import RunLoop
from curation_plugins import selection
from curation_plugins.errors import WorkerDiskFull
from curation_sandbox.submit_server import HandlerError
from small_file_system import small_file_system
from submitting import Agent

POISON = 13
"""The row that breaks the trainer where a test says so."""
POISONED = f"recipe.fault_row={POISON}"
QUICK = ("workers.memory=150m", "workers.seconds=3", "workers.silence_seconds=1.5")


@pytest.fixture
def agent_folder(tmp_path: Path) -> Path:
    place = tmp_path / "agent"
    place.mkdir()
    return place


def worker_events(record: RunRecord, what: str) -> list[dict[str, Any]]:
    return [event.data for event in record.events.of("worker") if event.data["what"] == what]


def nothing_half_written(record: RunRecord) -> None:
    """Every file that may be there is whole, and there is no other."""
    for path in record.folder.rglob("*"):
        assert not path.name.startswith("."), path
        if path.suffix == ".json":
            json.loads(path.read_text())
    for result in record.results():
        if result.status == "failed":
            names = {path.name for path in record.attempt_folder(result.n).iterdir()}
            assert names == {"submission.json", "selection.jsonl", "policy", "result.json"}
    RunRecord.open_run(record.folder).events.all()


@pytest.mark.parametrize(
    ("fault", "failure", "tries"),
    [
        ("crash", "WorkerCrashed", 2),
        ("killed", "WorkerCrashed", 2),
        ("exit-with-good-file", "WorkerCrashed", 2),
        ("lie", "WorkerCrashed", 2),
        ("cuda-oom", "WorkerOutOfMemory", 2),
        ("oom", "WorkerOutOfMemory", 2),
        ("hang", "WorkerTimeout", 2),
        ("forever", "WorkerOverdue", 1),
        ("garbage", "WorkerReplyInvalid", 2),
        ("no-model", "WorkerReplyInvalid", 0),
    ],
)
def test_a_failure_in_training_is_ours(open_loop, agent_folder: Path, fault: str, failure: str, tries: int) -> None:
    """It is named, tried again where that may help, refunded and recorded; the next submission is scored."""
    with open_loop(f"recipe.fault={fault}", POISONED, *QUICK) as loop:
        record, agent = loop.record, Agent(loop, agent_folder)
        before = iterations_left(record)
        view = agent.tried([POISON, 1, 2])
        assert view.state == "failed"
        assert "not your submission" in str(view.failure)
        (event,) = record.events.of("attempt-failed")
        assert event.data == {"n": 1, "failure": failure, "refunded": True}
        assert [data["error"] for data in worker_events(record, "job-failed")] == [failure] * tries
        assert iterations_left(record) == before
        nothing_half_written(record)
        assert agent.tried(range(20, 60)).state == "scored"
        assert (ledger(record).iterations, ledger(record).refunded) == (2, 1)


@pytest.mark.parametrize("fault", ["leave", "score-two", "score-nan", "short-sealed", "other-benchmark", "cuda-oom"])
def test_a_failure_in_scoring_is_ours(open_loop, agent_folder: Path, fault: str) -> None:
    with open_loop(f"recipe.fault={fault}", "recipe.fault_role=evaluate") as loop:
        view = Agent(loop, agent_folder).tried(range(40))
        assert view.state == "failed"
        result = loop.record.result(1)
        assert result is not None
        assert result.refunded
        assert result.public is None
        nothing_half_written(loop.record)


def test_what_goes_wrong_once_costs_nothing(open_loop, agent_folder: Path) -> None:
    with open_loop("recipe.fault=crash-once") as loop:
        assert Agent(loop, agent_folder).tried(range(40)).state == "scored"
        assert len(worker_events(loop.record, "job-failed")) == 1
        assert not loop.record.events.of("attempt-failed")


# -- rows that are chosen to break the trainer -----------------------------------------------------------


def test_rows_chosen_to_crash_the_trainer_spend_the_refunds_and_then_iterations(
    open_loop, agent_folder: Path
) -> None:
    """Attack: each time another selection with the row that crashes it, for free trainings without end."""
    budgets = ("budgets.iterations=3", "budgets.refunds=2")
    with open_loop("recipe.fault=crash", POISONED, *budgets) as loop:
        record, agent = loop.record, Agent(loop, agent_folder)
        for other in range(5):
            assert agent.tried([POISON, 100 + other]).state == "failed"
        with pytest.raises(HandlerError, match="iterations are spent"):
            agent.submit([POISON, 200])
        assert [result.refunded for result in record.results()] == [True, True, False, False, False]
        assert iterations_left(record) == 0
        spent = ledger(record)
        assert (spent.iterations, spent.refunded) == (5, 2)


def test_rows_that_broke_the_trainer_twice_are_not_trained_again(open_loop, agent_folder: Path) -> None:
    """Attack: the same rows again and again, also in another order; and they stay out when the run is resumed."""
    budgets = ("budgets.iterations=3", "budgets.refunds=5", "budgets.refusals=4")
    with open_loop("recipe.fault=crash", POISONED, *budgets) as loop:
        record, agent = loop.record, Agent(loop, agent_folder)
        assert [agent.tried([POISON, 2]).state, agent.tried([2, POISON]).state] == ["failed", "failed"]
        trained = len(worker_events(record, "job-failed"))
        for rows in ([POISON, 2], [2, POISON]):
            assert [problem.code for problem in agent.submit(rows).problems] == ["quarantined"]
        assert agent.tried(range(10)).state == "scored"
    with open_loop(record=RunRecord.open_run(record.folder)) as loop:
        loop.recover()
        again = Agent(loop, agent_folder)
        again.count = 100
        assert [problem.code for problem in again.submit([POISON, 2]).problems] == ["quarantined"]
        again.submit([POISON, 2])
        with pytest.raises(HandlerError, match="no more are taken"):  # a refusal spends its own budget
            again.submit([POISON, 2])
        assert len(worker_events(loop.record, "job-failed")) == trained


def test_rows_chosen_to_exhaust_the_trainer_cost_the_agent_after_the_refunds(open_loop, agent_folder: Path) -> None:
    """Attack: each training runs until its limit of memory."""
    budgets = ("budgets.iterations=1", "budgets.refunds=1")
    with open_loop("recipe.fault=oom", POISONED, *budgets, *QUICK) as loop:
        agent = Agent(loop, agent_folder)
        assert agent.tried([POISON, 1]).failure != agent.tried([POISON, 2]).failure  # one is refunded, one is not
        with pytest.raises(HandlerError, match="iterations are spent"):
            agent.submit([POISON, 3])


def accept_again(loop: RunLoop) -> None:
    """What a process does that goes on with the run."""
    loop.recover()
    loop.work_off()
    loop.work_through()


def test_an_attempt_that_kills_the_harness_itself_is_given_up(open_loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack: rows that take all memory of the machine, so that every resumed run dies of them."""
    died = RuntimeError("as far as this process can see, it is dead")
    with open_loop() as loop:
        record = loop.record
        chosen = selection.of_rows(list(range(20)))
        submission = AttemptSubmission(
            n=1, key="key-00001", digest=chosen.digest(), rows=20, note="", policy=(), accepted="now"
        )
        record.write_submission(submission, chosen, {})
        trials = SimpleNamespace(run=lambda *args, **more: (_ for _ in ()).throw(died))
        runner = attempts.AttemptRunner(
            record=record,
            trials=trials,
            progress=lambda what, done: None,
            stopping=lambda: False,
            state=lambda n, state: None,
        )
        for time_of_death in range(attempts.DEATHS):
            loop.recover()
            assert attempts.deaths(record, 1) == time_of_death
            with pytest.raises(RuntimeError):
                runner.run(1)
        accept_again(loop)
        (event,) = record.events.of("attempt-failed")
        assert event.data == {"n": 1, "failure": "WorkAbandoned", "refunded": True}


def test_an_interrupted_attempt_has_killed_nobody(open_loop) -> None:
    with open_loop() as loop:
        for _ in range(2 * attempts.DEATHS):
            for kind, data in (("attempt-started", {"n": 1}), ("interrupted", {}), ("resumed", {})):
                loop.record.events.append(kind, **data)
        assert attempts.deaths(loop.record, 1) == 0


# -- a disk without room ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    with small_file_system(tmp_path / "small", "24m") as place:
        yield place


def test_a_trainer_that_fills_the_disk_leaves_its_attempt_to_be_done_later(
    open_loop, small_disk: Path, agent_folder: Path, registry, cache: Path
) -> None:
    from conftest import probe_record

    record = probe_record(small_disk / "runs", cache, registry, ("recipe.fault=needs-room", "budgets.iterations=1"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12 * 2**20))
    with pytest.raises(WorkerDiskFull, match="No space left"), open_loop(record=record) as loop:
        Agent(loop, agent_folder).tried(range(40))
    assert [data["error"] for data in worker_events(record, "job-failed")] == ["WorkerDiskFull"] * 2
    assert len(worker_events(record, "disk-full")) == 1
    assert record.result(1) is None
    nothing_half_written(record)
    ballast.unlink()
    with open_loop(record=RunRecord.open_run(record.folder)) as loop:
        accept_again(loop)
        assert [result.status for result in loop.record.results()] == ["scored"]
        assert (ledger(loop.record).iterations, ledger(loop.record).refunded) == (1, 0)


def test_rows_that_fill_the_disk_again_and_again_are_given_up(
    open_loop, small_disk: Path, agent_folder: Path, registry, cache: Path
) -> None:
    """Attack: rows whose training needs more room than any resume finds, to be trained for nothing for ever."""
    from conftest import probe_record

    record = probe_record(small_disk / "runs", cache, registry, ("recipe.fault=needs-room", "budgets.iterations=1"))
    (small_disk / "ballast").write_bytes(bytes(12 * 2**20))
    with pytest.raises(WorkerDiskFull), open_loop(record=record) as loop:
        Agent(loop, agent_folder).tried(range(40))
    for _ in range(attempts.DEATHS - 1):
        with pytest.raises(WorkerDiskFull), open_loop(record=RunRecord.open_run(record.folder)) as loop:
            accept_again(loop)
    with open_loop(record=RunRecord.open_run(record.folder)) as loop:
        accept_again(loop)
        (event,) = loop.record.events.of("attempt-failed")
        assert event.data == {"n": 1, "failure": "WorkAbandoned", "refunded": True}


def test_a_submission_that_does_not_fit_on_the_disk_leaves_nothing_and_can_be_sent_again(
    open_loop, small_disk: Path, agent_folder: Path, registry, cache: Path
) -> None:
    from conftest import probe_record

    record = probe_record(small_disk / "runs", cache, registry)
    with open_loop(record=record) as loop:
        agent = Agent(loop, agent_folder)
        agent.policy.write_bytes(bytes(4 * 2**20))
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(22 * 2**20))
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                agent.submit(range(20, 60))
            nothing_half_written(loop.record)
        ballast.unlink()
        assert agent.tried(range(20, 60)).state == "scored"
        assert ledger(loop.record).iterations == 1
