"""A spent budget of the model: the real programs do not try again, and the run ends in order and is scored."""

from __future__ import annotations

import pytest
from agent_bench import CLAUDE_CODE, CODEX, agent_run, submit
from scripted_moves import Run, Say

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeLog

pytestmark = pytest.mark.containers

MOVES = [submit(1, range(0, 40)), *(Run(f"echo turn {n}") for n in range(20)), Say("over")]
AFTER = 3
"""Requests that a program may still make after the first refusal."""


def check_ended_in_order(run, budget: str) -> None:
    summary = run.harness.summary()
    assert (summary.status, len(summary.attempts)) == ("scored", 1), run.log
    (spent,) = run.harness.record().events.of("budget-spent")
    assert spent.data["budget"] == budget
    outcomes = [entry.outcome for entry in run.exchanges() if entry.kind == "generate"]
    first = outcomes.index("budget")
    assert set(outcomes[:first]) == {"ok"}
    assert set(outcomes[first:]) == {"budget"}
    assert len(outcomes) - first <= AFTER
    assert all(entry.status == 400 for entry in run.exchanges() if entry.outcome == "budget")
    # nothing was sent on, and nobody told the agent to go on
    assert len(run.model.turns) == first
    assert not run.harness.record().events.of("agent-continued")


def check_replayed(run) -> None:
    """The replay's budgets say what the recorded ones said; a damaged reply is named before anything starts."""
    again = run.harness.run("rerun", "r", "--replay")
    assert again.returncode == 0, again.stdout + again.stderr
    made = run.harness.runs / "r" / "reruns" / "001-replay" / "r"
    entries = [entry for entry in ExchangeLog(made).entries() if entry.kind == "generate"]
    recorded = [entry for entry in run.exchanges() if entry.kind == "generate"]
    words = {entry.reason for entry in recorded if entry.outcome == "budget"}
    assert {entry.reason for entry in entries if entry.outcome == "budget"} == words
    (path,) = (run.harness.runs / "r").glob(f"model/bodies/??/{recorded[0].response}.zst")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    damaged = run.harness.run("rerun", "r", "--replay")
    assert damaged.returncode == RecordInvalid.exit_code, damaged.stdout + damaged.stderr
    assert path.name in damaged.stderr
    assert not list((run.harness.runs / "r" / "reruns").glob("002*"))


def test_requests(program, tmp_path, cache):
    with agent_run(program, MOVES, tmp_path, cache) as run:
        run.launch("--set", "budgets.model_requests=4")
        check_ended_in_order(run, "model requests")
        assert len(run.model.turns) == 4


def test_tokens(tmp_path, cache, engine):
    with agent_run(CODEX, MOVES, tmp_path, cache) as run:
        run.launch("--set", "budgets.model_tokens=5000")
        check_ended_in_order(run, "model tokens")
        # 1000, 2000 and 3000 tokens of input: the third reply passes the limit
        assert len(run.model.turns) == 3


def test_money(tmp_path, cache, engine):
    with agent_run(CLAUDE_CODE, MOVES, tmp_path, cache) as run:
        # dollars per million tokens: 1000 + 2000 of input pass three thousandths
        run.launch("--price", "claude-sonnet-4-5=1/1", "--set", "budgets.model_dollars=0.003")
        check_ended_in_order(run, "model money")
        assert len(run.model.turns) == 2
        check_replayed(run)
