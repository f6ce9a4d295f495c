"""The submit handler against the real ledger, record and workers of the fast test task; no container."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from curation_harness.record.state import iterations_left, ledger
from curation_sandbox.protocol import (
    Accepted,
    Duplicate,
    Refused,
)
from curation_sandbox.submit_server import HandlerError
from submitting import Agent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "agent"
    place.mkdir()
    return place


def test_an_attempt_is_trained_scored_and_told_with_public_scores_only(open_loop, folder):
    with open_loop() as loop:
        view = Agent(loop, folder).tried(range(40))
        result = loop.record.result(1)
        assert view.state == "scored"
        assert view.feedback.mean == pytest.approx(result.public.mean, abs=1e-4)
        assert result.sealed.mean != result.public.mean
        assert f"{result.sealed.mean:.4f}" not in view.model_dump_json()
        assert set(view.feedback.by_benchmark) == set(loop.record.spec.task.benchmarks)
        assert result.truth is not None
        assert (loop.record.attempt_folder(1) / "policy" / "policy.py").read_text() == "print('rows')\n"
        assert not list(loop.record.attempt_folder(1).glob(".trial-*"))


def test_the_same_key_gets_the_same_reply_and_one_attempt(open_loop, folder):
    with open_loop() as loop:
        agent = Agent(loop, folder)
        first = agent.submit(range(10), key="one-and-the-same")
        again = agent.submit(range(10), key="one-and-the-same")
        assert first == again == Accepted(attempt=1, rows=10)
        loop.work_through()
        assert len(loop.record.submissions()) == 1


def test_the_same_rows_in_another_order_are_answered_from_the_record(open_loop, folder):
    with open_loop() as loop:
        agent = Agent(loop, folder)
        agent.tried(range(20))
        assert agent.submit(list(reversed(range(20)))) == Duplicate(attempt=1)
        assert ledger(loop.record).iterations == 1


def test_a_second_submission_while_one_runs_is_told_to_wait(open_loop, folder):
    with open_loop("recipe.delay_seconds=1") as loop:
        agent = Agent(loop, folder)
        agent.submit(range(10))
        with pytest.raises(HandlerError) as refused:
            agent.submit(range(11))
        assert (refused.value.status, refused.value.error) == (409, "busy")
        assert loop.handler.status().state == "working"
        loop.work_through()
        assert loop.handler.status().state == "open"


def test_concurrent_submissions_become_one_attempt(open_loop, folder):
    with open_loop("recipe.delay_seconds=0.5") as loop:
        agent = Agent(loop, folder)
        outcomes: list[object] = []

        def hand_in(rows: int) -> None:
            try:
                outcomes.append(agent.submit(range(rows), key=f"racing-{rows:04d}"))
            except HandlerError as error:
                outcomes.append(error.error)

        threads = [threading.Thread(target=hand_in, args=(rows,)) for rows in range(5, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
        assert len(accepted) == 1
        assert outcomes.count("busy") == len(threads) - 1
        loop.work_through()
        assert len(loop.record.submissions()) == 1


def test_a_refusal_names_every_row_and_costs_no_iteration(open_loop, folder):
    with open_loop() as loop:
        reply = Agent(loop, folder).submit([1, 1, 100000, "x"])
        assert isinstance(reply, Refused)
        assert [(problem.code, problem.row) for problem in reply.problems] == [
            ("repeated-row", 2),
            ("unknown-row", 3),
            ("not-a-row", 4),
        ]
        assert ledger(loop.record).iterations == 0
        assert loop.record.refusals()[0].problems == reply.problems


def test_refusals_are_capped_so_that_checks_are_no_oracle(open_loop, folder):
    with open_loop("budgets.refusals=2") as loop:
        agent = Agent(loop, folder)
        assert agent.submit(["x"]).refusals_left == 1
        assert agent.submit(["y"]).refusals_left == 0
        with pytest.raises(HandlerError) as spent:
            agent.submit(range(10))
        assert spent.value.error == "budget-spent"


def test_a_submission_without_a_policy_is_refused_by_the_scaffold(open_loop, folder):
    with open_loop() as loop:
        reply = Agent(loop, folder).submit(range(10), policy=False)
        assert [problem.code for problem in reply.problems] == ["no-policy"]


def test_the_iteration_after_the_last_is_refused(open_loop, folder):
    with open_loop("budgets.iterations=1") as loop:
        agent = Agent(loop, folder)
        agent.tried(range(10))
        with pytest.raises(HandlerError) as spent:
            agent.submit(range(11))
        assert spent.value.error == "budget-spent"


def test_nothing_is_taken_after_done(open_loop, folder):
    with open_loop() as loop:
        agent = Agent(loop, folder)
        loop.handler.done()
        assert loop.handler.status().state == "over"
        with pytest.raises(HandlerError) as over:
            agent.submit(range(10))
        assert over.value.error == "run-over"


def test_a_crashing_trainer_is_ours_refunded_and_quarantined(open_loop, folder):
    with open_loop("recipe.fault=crash", "budgets.iterations=2") as loop:
        agent = Agent(loop, folder)
        for attempt in (1, 2):
            view = agent.tried(range(10))
            assert view.state == "failed"
            assert "not your submission" in view.failure
            assert loop.record.result(attempt).refunded
        assert iterations_left(loop.record) == 2
        reply = agent.submit(range(10))
        assert [problem.code for problem in reply.problems] == ["quarantined"]


def test_refunds_are_capped(open_loop, folder):
    with open_loop("recipe.fault=crash", "budgets.iterations=3", "budgets.refunds=1") as loop:
        agent = Agent(loop, folder)
        agent.tried(range(10))
        agent.tried(range(11))
        refunded = [result.refunded for result in loop.record.results()]
        assert refunded == [True, False]


def test_our_failure_tells_the_agent_no_host_path(open_loop, folder, tmp_path):
    with open_loop("recipe.fault=raise") as loop:
        view = Agent(loop, folder).tried(range(10))
        assert str(tmp_path) not in view.model_dump_json()
        assert "Traceback" not in view.model_dump_json()
        assert "Worker" in loop.record.result(1).failure


def test_a_signal_is_computed_once_metered_and_then_cached(open_loop, folder):
    with open_loop() as loop:
        agent = Agent(loop, folder)
        first = loop.handler.signal("residual", agent.file([3, 1, 2]), None)
        assert first.state == "working"
        loop.work_through()
        ready = loop.handler.signal_view(first.id)
        assert ready.rows == (1, 2, 3)
        assert len(ready.values) == 3
        spent = ledger(loop.record).signal_seconds
        assert spent > 0
        again = loop.handler.signal("residual", agent.file([2, 3, 1]), None)
        assert (again.state, again.cached, again.values) == ("ready", True, ready.values)
        assert ledger(loop.record).signal_seconds == spent


@pytest.mark.parametrize(
    ("name", "rows", "error"), [("nonsense", [1], "not-found"), ("residual", ["x"], "bad-request")]
)
def test_a_wrong_signal_request_is_answered_with_what_is_wrong(open_loop, folder, name, rows, error):
    with open_loop() as loop:
        with pytest.raises(HandlerError) as wrong:
            loop.handler.signal(name, Agent(loop, folder).file(rows), None)
        assert wrong.value.error == error


def test_signals_stop_when_their_budget_is_spent(open_loop, folder):
    with open_loop("budgets.signal_seconds=0") as loop:
        with pytest.raises(HandlerError) as spent:
            loop.handler.signal("vector", Agent(loop, folder).file([7, 8]), None)
        assert spent.value.error == "budget-spent"


def test_the_agents_clock_stands_still_while_the_host_works(open_loop, folder):
    with open_loop("recipe.delay_seconds=1") as loop:
        loop.clock.start()
        Agent(loop, folder).submit(range(10))
        before = loop.clock.spent()
        loop.work_through()
        during = loop.clock.spent() - before
        loop.clock.stop()
        # the attempt takes at least its delay, twice (train and score); the clock sees none of it
        assert loop.record.result(1).timings.total >= 2
        assert during < 0.5


def test_signals_are_computed_one_at_a_time_so_that_the_budget_holds(open_loop, folder):
    with open_loop("recipe.delay_seconds=1") as loop:
        agent = Agent(loop, folder)
        loop.handler.signal("vector", agent.file([11, 12]), None)
        with pytest.raises(HandlerError) as busy:
            loop.handler.signal("vector", agent.file([13, 14]), None)
        assert (busy.value.status, busy.value.error) == (409, "busy")
        loop.work_through()


def test_making_the_signal_worker_fail_is_no_free_retry(open_loop, folder):
    with open_loop("recipe.fault=crash", "recipe.fault_role=signal", "budgets.refunds=0") as loop:
        agent = Agent(loop, folder)
        view = loop.handler.signal("vector", agent.file([21, 22]), None)
        loop.work_through()
        assert loop.handler.signal_view(view.id).state == "failed"
        with pytest.raises(HandlerError) as spent:
            loop.handler.signal("vector", agent.file([23, 24]), None)
        assert spent.value.error == "budget-spent"


def test_repeating_accepted_content_for_ever_is_capped(open_loop, folder, monkeypatch):
    monkeypatch.setattr("curation_harness.desk.intake.MAX_DUPLICATES", 2)
    with open_loop() as loop:
        agent = Agent(loop, folder)
        agent.tried(range(20))
        assert [agent.submit(range(20)) for _ in range(2)] == [Duplicate(attempt=1)] * 2
        with pytest.raises(HandlerError) as spent:
            agent.submit(range(20))
        assert spent.value.error == "budget-spent"
