"""Trajectories of the real programs' traffic, recorded against the scripted model with long texts cut:
Claude Code 2.1.329, Codex 0.169.0, OpenHands SDK 1.58. Two turns each; two of them start a sub-agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation_harness.trajectory.atif import Trajectory
from made_conversations import NamedThreads, Traffic, lines

GOLDEN = Path(__file__).parents[1] / "golden" / "trajectory"
MAIN = "You are a test. Do the thing."
MORE = "You have 1 iteration left. Go on."


def replayed(tmp_path: Path, program: str, names: dict[str, str] | None = None) -> Trajectory:
    traffic = Traffic(tmp_path)
    for exchange in json.loads((GOLDEN / f"{program}.json").read_text()):
        path, request = exchange["path"], exchange["request"]
        traffic.add(path, request, exchange["response"].encode(), turn=exchange["turn"])
    return traffic.build(NamedThreads(names) if names else None)


def heads(found: Trajectory) -> list[tuple[str, str, list[str], list[str]]]:
    """Who, the text's beginning (none for what the program says), calls, and results' beginnings."""
    return [
        (
            "program" if (step.extra or {}).get("by_program") else step.source,
            "" if step.source == "system" or (step.extra or {}).get("by_program") else step.message[:40],
            [call.function_name for call in step.tool_calls or ()],
            [(entry.content or "")[:8].strip() for entry in step.observation.results] if step.observation else [],
        )
        for step in found.steps
    ]


def test_claude_code_with_a_subagent_and_a_second_turn(tmp_path: Path):
    found = replayed(tmp_path, "claude-code")
    assert heads(found) == [
        ("system", "", [], []),
        ("program", "", [], []),
        ("user", MAIN, [], []),
        ("agent", "Let me look.", ["Bash"], ["bin\nboot"]),
        ("agent", "", ["Agent"], ["[Subagen"]),
        ("agent", "", ["Bash"], ["two\n\n<sy"]),
        ("agent", "done", [], []),
        ("user", MORE, [], []),
        ("agent", "done", [], []),
    ]
    assert found.steps[5].reasoning_content == "hm"
    (subagent,) = found.subagent_trajectories or ()
    assert [head[1:3] for head in heads(subagent)][2:] == [
        ("SUBTASK count the files", []),
        ("", ["Bash"]),
        ("sub says 3", []),
    ]
    assert subagent_named_by(found, "Agent") == subagent.trajectory_id


def test_codex_with_a_subagent_that_runs_beside_it(tmp_path: Path):
    found = replayed(tmp_path, "codex", {"resp_S01x0000x000": "Anscombe", "call_S01x0000x000": "Anscombe"})
    assert heads(found) == [
        ("system", "", [], []),
        ("program", "", [], []),
        ("user", MAIN, [], []),
        ("agent", "Let me look.", ["exec_command"], [heads(found)[3][3][0]]),
        ("agent", "", ["spawn_agent"], ['{"agent_']),
        ("agent", "", ["exec_command"], ["Chunk ID"]),
        ("program", "", [], []),
        ("agent", "done", [], []),
        ("user", MORE, [], []),
        ("agent", "done", [], []),
    ]
    (subagent,) = found.subagent_trajectories or ()
    assert subagent.agent.name == "Anscombe"
    assert subagent.steps[-1].message == "sub says 3"
    assert subagent_named_by(found, "spawn_agent") == subagent.trajectory_id


def test_openhands_with_a_second_turn(tmp_path: Path):
    found = replayed(tmp_path, "openhands")
    assert [head[:3] for head in heads(found)] == [
        ("system", "", []),
        ("user", MAIN, []),
        ("agent", "Let me look.", ["terminal"]),
        ("agent", "", ["terminal"]),
        ("agent", "done", []),
        ("user", MORE, []),
        ("agent", "done", []),
    ]
    assert found.steps[3].reasoning_content == "hm"
    assert found.subagent_trajectories is None
    assert found.steps[5].extra == {"exchange": 4, "turn": 2}


@pytest.mark.parametrize("program", ["claude-code", "codex", "openhands"])
def test_every_request_is_one_step_and_all_tokens_are_in_the_sums(tmp_path: Path, program: str):
    found = replayed(tmp_path, program)
    requests = len(json.loads((GOLDEN / f"{program}.json").read_text()))
    everyone = [found, *(found.subagent_trajectories or ())]
    replies = [step for each in everyone for step in each.steps if step.llm_call_count == 1]
    assert len(replies) == requests
    assert not [step for each in everyone for step in each.steps if step.llm_call_count == 0], lines(found)
    sums = found.final_metrics
    assert (sums.total_prompt_tokens, sums.total_completion_tokens) == (100 * requests, 10 * requests)
    assert (sums.total_cached_tokens, sums.total_cost_usd) == (60 * requests, 0.25 * requests)


def subagent_named_by(found: Trajectory, tool: str) -> str:
    """The sub-agent that the result of a call of this tool refers to."""
    for step in found.steps:
        for call in step.tool_calls or ():
            if call.function_name == tool:
                assert step.observation is not None
                (reference,) = step.observation.results[0].subagent_trajectory_ref or ()
                return reference.trajectory_id
    raise AssertionError(f"no call of {tool}")
