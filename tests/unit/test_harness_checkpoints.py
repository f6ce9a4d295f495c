"""Which trained models a run keeps, and that it keeps to its disk budget."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from curation_harness.attempts.checkpoints import KeptModels, at_once
from curation_harness.attempts.trial import model_digest
from curation_harness.planning import machine
from curation_harness.planning import plan as plans
from curation_harness.planning.plan import LaunchOptions
from curation_harness.record.models import AttemptSubmission
from curation_harness.run.loop import RunLoop
from curation_plugins import selection
from curation_plugins.config import Checkpoints

BEST_OF_TEN = (3, 4, 2, 5, 9, 1, 6, 10, 7, 8)
"""How many of an attempt's rows are good, in tenths; the eighth attempt is the best."""


def accept(loop: RunLoop, rows: list[int]) -> int:
    n = len(loop.record.submissions()) + 1
    chosen = selection.of_rows(rows)
    submission = AttemptSubmission(
        n=n, key=f"key-{n:05d}", digest=chosen.digest(), rows=len(chosen.rows), note="", policy=(), accepted="now"
    )
    loop.record.write_submission(submission, chosen, {})
    return n


def on_disk(loop: RunLoop) -> int:
    """How many trained models there are, kept or in the making."""
    attempts = loop.record.folder / "attempts"
    return len([*attempts.glob("*/model"), *attempts.glob("*/.trial-*/model/*")])


def run_attempt(loop: RunLoop, rows: list[int]) -> int:
    n = accept(loop, rows)
    loop.attempts.run(n)
    return n


def rows_of_quality(loop: RunLoop, good: int, of: int = 80) -> list[int]:
    truth = loop.parts.task.truth(loop.parts.assets)
    assert truth is not None
    goods = [row for row, is_good in enumerate(truth) if is_good]
    bads = [row for row, is_good in enumerate(truth) if not is_good]
    return sorted(goods[:good] + bads[: of - good])


def test_ten_attempts_keep_the_best_and_never_more_than_two(open_loop, monkeypatch):
    with open_loop("budgets.iterations=10") as loop:
        peak = 0
        real = loop.session.call

        def watched(*arguments: object) -> object:
            nonlocal peak
            done = real(*arguments)
            peak = max(peak, on_disk(loop))
            return done

        monkeypatch.setattr(loop.session, "call", watched)
        for tenths in BEST_OF_TEN:
            run_attempt(loop, rows_of_quality(loop, tenths * 8))
        scores = {result.n: result.public.mean for result in loop.record.results()}
        best = max(scores, key=lambda n: (scores[n], -n))
        kept = KeptModels(loop.record)
        assert kept.kept() == (best,)
        assert peak == at_once(loop.record.spec.task.checkpoints, 10) == 2
        sizes = {event.data["bytes"] for event in loop.record.events.of("checkpoint-kept")}
        assert min(sizes) > 0


@pytest.mark.parametrize(("keep", "left"), [("all", (1, 2, 3)), ("best", (2,)), ("none", ())])
def test_the_policy_says_what_stays(open_loop, keep, left):
    with open_loop(f"checkpoints.keep={keep}") as loop:
        for good in (24, 72, 48):
            run_attempt(loop, rows_of_quality(loop, good))
        kept = KeptModels(loop.record)
        assert kept.kept() == left
        assert [n for n in (1, 2, 3) if kept.find(n) is not None] == list(left)


def test_a_kept_model_is_the_one_that_was_scored(open_loop):
    with open_loop() as loop:
        n = run_attempt(loop, list(range(40)))
        kept = KeptModels(loop.record).find(n)
        assert kept is not None
        assert model_digest(kept) == loop.record.result(n).model_digest


def test_a_killed_process_leaves_no_model_without_a_result(open_loop):
    with open_loop() as loop:
        n = accept(loop, list(range(40)))
        loop.trials.run(
            loop.record.attempt_folder(n) / "selection.jsonl",
            loop.record.spec.seeds.attempt,
            loop.record.attempt_folder(n),
            lambda what, done: None,
            keep=KeptModels(loop.record).place(n),
        )  # and here it was killed: the model is there, its result is not
        assert KeptModels(loop.record).find(n) is None
        loop.recover()
        assert not (loop.record.attempt_folder(n) / "model").exists()
        loop.work_off()
        loop.work_through()
        assert KeptModels(loop.record).kept() == (n,)


def test_a_run_holds_no_copy_of_the_pool(open_loop):
    with open_loop() as loop:
        run_attempt(loop, list(range(40)))
        pool = {_hash(path) for path in (loop.parts.assets / "pool").rglob("*") if path.is_file()}
        assert pool
        run = {_hash(path) for path in loop.record.folder.rglob("*") if path.is_file()}
        assert not pool & run
        assert (loop.record.attempt_folder(1) / "selection.jsonl").stat().st_size < 40 * 40


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("keep", "models"), [("none", 1), ("best", 2), ("all", 11)])
def test_the_disk_budget_is_stated_before_the_run(tmp_path, registry, monkeypatch, keep, models):
    settings = ("budgets.iterations=10", f"checkpoints.keep={keep}")
    options = LaunchOptions(
        task="probe", agent="nop", scaffold="open", runs=tmp_path, cache=tmp_path, overrides=settings
    )
    plan = plans.make(options, registry)
    without = machine.run_bytes(plan)
    monkeypatch.setattr(type(plan.task), "checkpoint_bytes", lambda self, assets: 14 * 10**9)
    assert machine.run_bytes(plan) - without == models * 14 * 10**9
    assert at_once(Checkpoints(keep=keep), 10) == models
