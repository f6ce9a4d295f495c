"""Replays of an agent without a model: recorded feedback, no training, a verdict that is not taken for granted."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from harness_command import Harness, another_checkout, launch_options, slow

from curation_harness.errors import INTERRUPTED, RerunDiffers

pytestmark = pytest.mark.containers

SUBMIT = """
import os, random, time
rows = {rows}
open("rows.txt", "w").write("\\n".join(map(str, rows)))
os.makedirs("policy", exist_ok=True); open("policy/policy.py", "w").write("# some rows")
code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", "some")
print(curate("wait", "1", "--timeout", "60"), flush=True)
time.sleep({seconds})
"""


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Harness:
    return Harness(tmp_path, cache)


def launch(harness: Harness, rows: str, seconds: float = 0) -> None:
    program = harness.program(SUBMIT.format(rows=rows, seconds=seconds))
    done = harness.run(*launch_options("--iterations", "1", *slow(0), *program))
    assert done.returncode == 0, done.stderr


def handed_in(run: Path) -> dict[str, bytes]:
    """What the agent handed in, byte for byte, and what it was told of it."""
    patterns = ("attempts/*/selection.*", "attempts/*/policy/**/*", "refusals/**/*", "history/**/*")
    found = (path for pattern in patterns for path in run.glob(pattern) if path.is_file())
    return {str(path.relative_to(run)): path.read_bytes() for path in found}


def test_a_replay_is_equal_byte_for_byte_twice_and_from_another_checkout(harness, tmp_path):
    launch(harness, "range(20)")
    elsewhere = another_checkout(harness, tmp_path)
    run = harness.runs / "r"
    recorded = handed_in(run)
    assert {"attempts/001/selection.jsonl", "attempts/001/policy/policy.py"} <= set(recorded)
    for number, checkout in enumerate((harness, harness, elsewhere), start=1):
        replayed = checkout.run("rerun", "r", "--replay", "--json")
        assert replayed.returncode == 0, replayed.stderr
        verdict = json.loads(replayed.stdout)
        assert verdict["verdict"] == "equal"
        assert [(stage["kind"], stage["verdict"]) for stage in verdict["stages"]] == [
            ("submission", "equal"),
            ("refusals", "equal"),
        ]
        assert json.loads((run / "reruns" / f"{number:03d}-replay.json").read_text()) == verdict
        assert handed_in(run / "reruns" / f"{number:03d}-replay" / "r") == recorded
    trained = elsewhere.run("rerun", "r", "--submissions", "--epsilon", "0", "--json")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["verdict"] == "equal"
    made = run / "reruns" / "001-replay" / "r"
    (attempt,) = harness.summary().attempts
    assert f"{attempt.public.mean:.4f}"[:6] in (made / "agent.log").read_text()
    kinds = [json.loads(line)["kind"] for line in (made / "events.jsonl").read_text().splitlines()]
    assert "attempt-scored" in kinds
    assert "worker" not in kinds


def test_a_policy_that_draws_without_a_seed_differs(harness):
    launch(harness, "random.sample(range(200), 20)")
    replayed = harness.run("rerun", "r", "--replay")
    assert replayed.returncode == RerunDiffers.exit_code, replayed.stderr
    assert "rows differ, policy equal; share of rows that only one of the two has" in replayed.stdout
    assert "because nothing that is recorded is different: the stage does not repeat itself" in replayed.stdout
    assert "verdict: differs" in replayed.stdout
    harness.program(SUBMIT.format(rows="range(30)", seconds=0))
    replayed = harness.run("rerun", "r", "--replay")
    assert replayed.returncode == RerunDiffers.exit_code, replayed.stderr
    assert "because agent its folder: " in replayed.stdout


def test_a_replay_that_was_interrupted_or_killed_says_nothing_and_is_in_nobodys_way(harness):
    launch(harness, "range(20)", seconds=5)
    reruns = harness.runs / "r" / "reruns"
    for end, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)):
        replay = harness.start("rerun", "r", "--replay")
        harness.wait_for("reruns/001-replay/r/events.jsonl", "attempt-scored", replay)
        replay.send_signal(end)
        told, _ = replay.communicate(timeout=60)
        assert replay.returncode == code, told
        assert list(reruns.glob("*.json")) == []
    done = harness.run("rerun", "r", "--replay")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in reruns.glob("*.json")] == ["001-replay.json"]  # the killed one's folder went
    assert harness.run("verify", "r").returncode == 0
    assert str(reruns) not in Path("/proc/mounts").read_text()
