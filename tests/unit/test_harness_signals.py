"""Signals as the submit handler gives them: in shards, metered, of the base model or an attempt's; no container."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from curation_harness import signal_shards
from curation_harness.record.models import AttemptSubmission
from curation_harness.record.state import ledger
from curation_harness.run.loop import RunLoop
from curation_plugins import selection
from curation_sandbox.protocol import SignalView
from curation_sandbox.submit_server import HandlerError


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_shards, "SHARD", 10)


class Asker:
    """Asks as the submit server does."""

    def __init__(self, loop: RunLoop, folder: Path) -> None:
        self.loop, self.folder = loop, folder
        self.jobs: list[Any] = []
        real = loop.session.call

        def watched(*arguments: Any) -> Any:
            self.jobs.append(arguments[2])
            return real(*arguments)

        loop.session.call = watched  # type: ignore[method-assign]

    def ask(self, name: str, rows: Iterable[int], attempt: int | None = None) -> SignalView:
        path = self.folder / "asked.txt"
        path.write_text("".join(f"{row}\n" for row in rows))
        view = self.loop.handler.signal(name, path, attempt)
        if view.state == "working":
            self.loop.work_through()
            after = self.loop.handler.signal_view(view.id)
            assert after is not None
            return after
        return view

    def refused(self, name: str, rows: Iterable[int], attempt: int | None = None) -> HandlerError:
        with pytest.raises(HandlerError) as wrong:
            self.ask(name, rows, attempt)
        return wrong.value

    def attempt(self, rows: list[int]) -> int:
        n = len(self.loop.record.submissions()) + 1
        chosen = selection.of_rows(rows)
        submission = AttemptSubmission(
            n=n, key=f"key-{n:05d}", digest=chosen.digest(), rows=len(rows), note="", policy=(), accepted="now"
        )
        self.loop.record.write_submission(submission, chosen, {})
        self.loop.attempts.run(n)
        return n


def test_a_request_is_measured_in_shards_and_charged_what_the_accelerator_was_held(open_loop, tmp_path):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        view = asker.ask("residual", range(25))
        assert [len(job.rows) for job in asker.jobs] == [10, 10, 5]
        assert (view.state, len(view.values), view.unmeasured) == ("ready", 25, 0)
        assert ledger(loop.record).signal_seconds == pytest.approx(25e-5)  # as the worker says, not the wall clock


def test_what_was_measured_once_is_not_measured_again_in_any_run(open_loop, tmp_path):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        first = asker.ask("residual", range(100, 120))
        again = asker.ask("residual", range(100, 130))  # its first two shards are the other's
        assert [job.rows[0] for job in asker.jobs] == [100, 110, 120]
        assert again.values[:20] == first.values
        spent = ledger(loop.record).signal_seconds
        assert asker.ask("residual", range(100, 120)).cached
        assert ledger(loop.record).signal_seconds == spent


def test_a_budget_that_ends_in_the_middle_gives_the_rows_it_reached(open_loop, tmp_path):
    with open_loop("budgets.signal_seconds=0.00015") as loop:
        view = Asker(loop, tmp_path).ask("residual", range(200, 245))
        assert (view.state, len(view.rows), len(view.values), view.unmeasured) == ("ready", 20, 20, 25)
        assert view.rows == tuple(range(200, 220))


def test_nothing_more_is_measured_once_the_agent_s_part_is_over(open_loop, tmp_path, monkeypatch):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        monkeypatch.setattr(loop.handler.signals, "over", lambda: len(asker.jobs) >= 1)
        assert asker.ask("residual", range(250, 290)).unmeasured == 30


def test_an_attempt_s_own_model_measures_otherwise_than_the_base_model(open_loop, tmp_path):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        n = asker.attempt(list(range(40)))
        base, trained = asker.ask("residual", range(300, 310)), asker.ask("residual", range(300, 310), n)
        assert trained.attempt == n
        assert base.values != trained.values
        assert asker.ask("residual", range(300, 310), n).cached
        assert loop.record.events.of("signal")[-1].data["attempt"] == n


@pytest.mark.parametrize("attempt", [1, 2, 999, 10**30])
def test_only_kept_models_of_this_run_can_be_asked_for(open_loop, tmp_path, attempt):
    with open_loop("checkpoints.keep=none") as loop:
        asker = Asker(loop, tmp_path)
        asker.attempt(list(range(40)))
        wrong = asker.refused("residual", range(10), attempt)
        assert (wrong.status, wrong.error) == (404, "not-found")
        assert f"no model of attempt {attempt}: this run keeps no models" in wrong.message


def test_a_signal_that_knows_no_attempts_says_so(open_loop, tmp_path):
    with open_loop() as loop:
        wrong = Asker(loop, tmp_path).refused("vector", range(10), 1)
        assert wrong.error == "bad-request"


def test_ten_million_ids_are_refused_at_once_and_nothing_is_charged(open_loop, tmp_path):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        assert asker.refused("residual", range(10**7)).error == "bad-request"
        assert "not in the pool" in asker.refused("residual", [400]).message
        assert "earlier line" in asker.refused("residual", [1, 1]).message
        assert asker.jobs == []
        assert ledger(loop.record).signal_seconds == 0


def test_a_signal_s_own_bound_on_rows_holds(open_loop, tmp_path, monkeypatch):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        offered = tuple(one.model_copy(update={"rows_max": 12}) for one in loop.parts.task.signals())
        monkeypatch.setattr(loop.parts.task, "signals", lambda: offered)
        assert "at most 12" in asker.refused("vector", range(13)).message
        assert asker.ask("vector", range(12)).state == "ready"


def test_a_signal_the_files_cannot_give_is_refused_with_the_reason(open_loop, tmp_path, monkeypatch):
    with open_loop() as loop:
        monkeypatch.setattr(loop.parts.task, "signal_missing", lambda name, assets: "no embeddings here")
        wrong = Asker(loop, tmp_path).refused("vector", range(3))
        assert wrong.error == "not-found"
        assert "no embeddings here" in wrong.message


def test_a_spoilt_file_in_the_cache_is_measured_again(open_loop, tmp_path):
    with open_loop() as loop:
        asker = Asker(loop, tmp_path)
        first = asker.ask("residual", range(350, 355))
        for path in loop.handler.signals.cache.rglob("*.json"):
            path.write_text("{")
        loop.handler.signals._views.clear()
        assert asker.ask("residual", range(350, 355)).values == first.values
        assert len(asker.jobs) == 2
