"""What ends a turn of a real program, and how it goes on after that."""

from __future__ import annotations

from datetime import datetime

import pytest
from agent_bench import CLAUDE_CODE, CODEX, agent_run, submit
from scripted_moves import Fail, Run, Say

from curation_harness.record.state import ledger

pytestmark = pytest.mark.containers


def test_a_killed_harness_is_resumed_in_the_same_conversation(program, tmp_path, cache):
    moves = [Run("echo the-first-command"), submit(1, range(0, 40)), submit(2, range(0, 80, 2)), Say("over")]
    with agent_run(program, moves, tmp_path, cache) as run:
        process = run.harness.start(*run.options("--iterations", "2", "--set", "recipe.delay_seconds=1"))
        run.harness.wait_for("events.jsonl", '"attempt-started","data":{"n":1', process)
        process.kill()
        process.communicate(timeout=60)
        seen = len(run.model.turns)
        again = run.harness.run("resume", "r")
        assert again.returncode == 0, again.stdout + again.stderr + run.log
        summary = run.harness.summary()
        assert (summary.status, [attempt.n for attempt in summary.attempts]) == ("scored", [1, 2])
        told = run.model.turns[seen]
        assert "The run was interrupted" in told.raw.decode()
        assert "the-first-command" in told.raw.decode()
        assert told.place.index >= 1


HOOK = '{"hooks": {"SessionEnd": [{"hooks": [{"type": "command", "command": "tail -f /dev/null", "timeout": 600}]}]}}'


def test_a_program_that_lingers_after_its_last_word_is_ended(tmp_path, cache, engine):
    # Claude Code prints its result and then runs a hook that never ends; a SIGTERM does not end it soon either
    hook = Run(f"mkdir -p ~/.claude && echo '{HOOK}' > ~/.claude/settings.json")
    moves = [submit(1, range(0, 40)), hook, Say("So far."), Say("That is all.")]
    with agent_run(CLAUDE_CODE, moves, tmp_path, cache) as run:
        run.launch("--iterations", "2", "--set", "budgets.linger_seconds=2", "--set", "budgets.continuations=1")
        assert "agent-lingers" in run.kinds("agent-lingers")
        assert run.kinds("budget-spent", "agent-idle") == []
        # both turns said their word, and what was said is kept
        assert "That is all." in run.log
        assert run.harness.summary().status == "scored"


def test_an_idle_program_is_ended_and_told(tmp_path, cache, engine):
    moves = [submit(1, range(0, 40)), Run("tail -f /dev/null"), Say("over")]
    with agent_run(CODEX, moves, tmp_path, cache) as run:
        # the host's work takes longer than the watchdog waits, and is no idleness
        limits = ("budgets.idle_seconds=8", "recipe.delay_seconds=4.5", "budgets.continuations=1")
        run.launch("--iterations", "2", *(word for limit in limits for word in ("--set", limit)))
        events = run.harness.record().events
        (idle,) = events.of("agent-idle")
        assert idle.seq > events.of("attempt-scored")[0].seq
        (continued,) = events.of("agent-continued")
        assert continued.data["why"] == "idle"
        assert run.asked("Nothing was heard of you")
        assert run.harness.summary().status == "scored"


LIMITS = {
    "claude-code": (["--agent-option", "command_seconds=3"], 3, "Command timed out after 3s"),
    "openhands": (["--agent-option", "terminal_seconds=3"], 3, "no new output after 3"),
    # not to be raised: it hands back after ten seconds at the latest, and can be asked again
    "codex": ([], 6, "Process running with session ID"),
}
"""Each program's limit for one command: options that make it short, seconds that slow each of an attempt's two jobs,
and what the model is told when it is over."""


def test_an_attempt_that_outlasts_the_programs_limit_for_one_command(program, tmp_path, cache):
    options, delay, told = LIMITS[program.agent]
    moves = [
        submit(1, range(0, 40), wait=500),
        Run("curate wait 1 --timeout 2; curate result 1", until="is scored"),
        Say("over"),
    ]
    with agent_run(program, moves, tmp_path, cache) as run:
        run.launch("--iterations", "1", "--set", f"recipe.delay_seconds={delay}", *options)
        (attempt,) = run.harness.summary().attempts
        assert attempt.status == "scored"
        assert run.asked(told)
        assert run.asked("attempt 1 is scored")
        assert run.model.turns[-1].place.index == 2
        # the agent's clock stood still meanwhile, whatever else the machine was busy with
        record = run.harness.record()
        (started,), (ended,) = record.events.of("agent-started"), record.events.of("agent-exited")
        turn = datetime.fromisoformat(ended.time) - datetime.fromisoformat(started.time)
        assert ledger(record).agent_seconds < turn.total_seconds() - 0.8 * attempt.seconds


@pytest.mark.parametrize("status", [0, 429, 503])
def test_transient_errors_of_the_provider_are_retried_unseen(status, tmp_path, cache, engine):
    moves = [
        Run("echo a"),
        Fail(status, retry_after=0.2 if status else None, times=2),
        submit(1, range(40)),
        Say("over"),
    ]
    with agent_run(CODEX, moves, tmp_path, cache) as run:
        run.launch("--iterations", "1")
        assert {entry.outcome for entry in run.exchanges()} == {"ok"}
        assert max(entry.tries for entry in run.exchanges()) == 3
        assert run.harness.summary().status == "scored"
