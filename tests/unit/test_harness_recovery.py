"""What an interruption may leave behind, and what is made of it when the run goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from curation_harness.attempts.headline import HeadlineRunner
from curation_harness.errors import NothingToScore, RecordInvalid
from curation_harness.record.events import EventLog
from curation_harness.record.models import Refusal
from curation_harness.record.state import ledger
from curation_harness.recorded import agent_is_through
from curation_harness.rerun.submissions import SubmissionRerunner
from curation_plugins import selection
from curation_sandbox.protocol import Problem
from made_attempts import accept


def quiet(what: str, done: float) -> None:
    """Progress that nobody reads."""


def test_a_headline_never_takes_over_seeds_of_another_attempt(open_loop):
    with open_loop() as loop:
        record = loop.record
        accept(record, 1, range(5))
        loop.recover()
        loop.work_off()
        loop.work_through()
        first = HeadlineRunner(record, loop.trials, quiet).run()
        good = [row for row, is_good in enumerate(loop.parts.task.truth(loop.parts.assets)) if is_good]
        accept(record, 2, good[:80])
        loop.recover()
        loop.work_off()
        loop.work_through()
        second = HeadlineRunner(record, loop.trials, quiet).run()
        assert (first.attempt, second.attempt) == (1, 2)
        assert {seed.attempt for seed in second.seeds} == {2}
        assert not {seed.model_digest for seed in first.seeds} & {seed.model_digest for seed in second.seeds}


def test_a_headline_that_was_interrupted_keeps_the_seeds_it_has(open_loop):
    with open_loop() as loop:
        accept(loop.record, 1, range(40))
        loop.recover()
        loop.work_off()
        loop.work_through()
        first = HeadlineRunner(loop.record, loop.trials, quiet).run()
        none = SimpleNamespace(task=loop.trials.task)  # no trial can be run: all must be on disk
        again = HeadlineRunner(loop.record, none, quiet).run()
        assert again == first


def test_an_acceptance_and_a_refusal_that_lost_their_events_are_counted(open_loop):
    with open_loop() as loop:
        accept(loop.record, 1, range(5))
        problem = Problem(code="empty", message="no rows")
        refused = Refusal(n=1, key="key-refused", problems=(problem,), more_problems=0, refused="now")
        loop.record.write_refusal(refused, None, {})
        assert (ledger(loop.record).iterations, ledger(loop.record).refusals) == (0, 0)
        loop.recover()
        loop.recover()  # twice is as good as once
        assert (ledger(loop.record).iterations, ledger(loop.record).refusals) == (1, 1)


@pytest.mark.parametrize(
    ("events", "through"),
    [
        ([], False),
        (["agent-started"], False),
        (["agent-started", "agent-exited"], False),  # it may have been about to be continued
        (["agent-started", "agent-exited", "agent-over"], True),
        (["agent-started", "agent-exited", "agent-continued", "agent-started", "agent-exited", "agent-over"], True),
        (["agent-started", "interrupted", "agent-exited"], False),
        (["agent-started", "agent-exited", "agent-over", "headline-started", "interrupted"], True),
        (["agent-started", "done", "interrupted", "agent-exited"], True),
        (["agent-started", "agent-exited", "interrupted", "resumed", "agent-started"], False),
    ],
)
def test_an_agent_whose_part_was_over_is_not_run_again(open_loop, events, through):
    with open_loop() as loop:
        for kind in events:
            loop.record.events.append(kind)
        assert agent_is_through(loop.record) is through


def fill(log: EventLog) -> None:
    for _ in range(1000):
        log.append("worker", what="x" * 300)


def test_half_an_event_on_a_full_disk_spoils_nothing(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        (disk / "ballast").write_bytes(bytes(8192))
        log = EventLog(disk / "events.jsonl")
        with pytest.raises(OSError, match="space"):
            fill(log)
        (disk / "ballast").unlink()
        log.append("done")
        kinds = [event.kind for event in EventLog(disk / "events.jsonl").all()]
        assert kinds[-1] == "done"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_run_without_a_scored_attempt_has_nothing_to_rerun(open_loop, tmp_path):
    with open_loop() as loop, pytest.raises(NothingToScore):
        SubmissionRerunner(loop.record, loop.trials, 0.0, quiet, tmp_path).run()


def test_a_selection_that_was_changed_in_the_record_is_not_trained_on_again(open_loop, tmp_path):
    with open_loop() as loop:
        accept(loop.record, 1, range(40))
        loop.recover()
        loop.work_off()
        loop.work_through()
        path = loop.record.attempt_folder(1) / "selection.jsonl"
        path.write_bytes(selection.of_rows(list(range(1, 41))).canonical())
        with pytest.raises(RecordInvalid, match=r"selection\.jsonl"):
            SubmissionRerunner(loop.record, None, 0.005, quiet, tmp_path).run()  # no trial can be run
