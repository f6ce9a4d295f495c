"""Whole runs on the fast test task, in real containers, through the command line and through ``launch``."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from harness_command import Harness, launch_options, slow

from curation_harness.record.summary import Summary

pytestmark = pytest.mark.containers

SUBMIT_TWO = """
for n in (1, 2):
    open("rows.txt", "w").write("\\n".join(str(r) for r in range(20 * n)))
    import os; os.makedirs("policy", exist_ok=True); open("policy/policy.py", "w").write("# first rows")
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", f"first {20 * n}")
    if code == 0:
        print(curate("wait", str(reply["attempt"]), "--timeout", "60"), flush=True)
"""


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Harness:
    return Harness(tmp_path, cache)


def test_a_run_goes_from_launch_to_a_sealed_headline(harness):
    done = harness.run(*launch_options("--json", "--iterations", "2", *harness.program(SUBMIT_TWO)))
    assert done.returncode == 0, done.stderr
    summary = Summary.model_validate_json(done.stdout)
    assert summary.status == "scored"
    assert [attempt.status for attempt in summary.attempts] == ["scored", "scored"]
    assert summary.sealed is not None
    assert summary.sealed.seeds == 3
    assert summary.image_digest.startswith("sha256:")
    assert (Path(summary.folder) / "report.html").stat().st_size > 10_000
    told = (harness.runs / "r" / "agent.log").read_text()
    for attempt in summary.attempts:
        assert f"{attempt.public.mean:.4f}"[:6] in told
    kinds = [event.kind for event in harness.record().events.all()]
    assert kinds[0] == "created"
    assert "ended" in kinds


def test_show_json_has_what_the_documentation_promises(harness):
    harness.run(*launch_options("--iterations", "1", *harness.program(SUBMIT_TWO)))
    shown = json.loads(harness.run("show", "r", "--json").stdout)
    keys = {"run_id", "status", "task", "agent", "scaffold", "attempts", "sealed", "references", "ledger"}
    assert keys | {"image_digest"} <= shown.keys()
    assert {"n", "kind", "status", "public", "truth"} <= shown["attempts"][0].keys()
    assert {"mean", "stderr", "n", "by_benchmark"} <= shown["attempts"][0]["public"].keys()
    assert {"precision", "recall"} <= shown["attempts"][0]["truth"].keys()
    assert {"mean", "stderr", "n", "seeds"} <= shown["sealed"].keys()


def test_an_agent_that_submits_nothing_ends_empty(harness):
    done = harness.run("launch", "--task", "probe", "--run-id", "r", "--agent", "nop")
    assert done.returncode == 0, done.stderr
    assert harness.summary().status == "empty"
    assert harness.summary().sealed is None


def test_an_agent_that_dies_leaves_a_scored_run(harness):
    dies = SUBMIT_TWO + "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    done = harness.run(*launch_options("--iterations", "3", *harness.program(dies)))
    assert done.returncode == 0, done.stderr
    summary = harness.summary()
    assert (summary.status, len(summary.attempts)) == ("scored", 2)
    ended = harness.record().events.of("agent-exited")[0]
    assert ended.data["code"] not in (0, None)


def test_an_agent_that_dies_while_its_attempt_trains_loses_nothing(harness):
    leaves = SUBMIT_TWO.replace('print(curate("wait"', 'sys.exit(7); print(curate("wait"')
    options = launch_options(*slow(1), *harness.program(leaves))
    assert harness.run(*options).returncode == 0
    assert [attempt.status for attempt in harness.summary().attempts] == ["scored"]
    assert harness.summary().status == "scored"


def test_an_agent_over_its_time_is_ended_and_scored(harness):
    sleeps = SUBMIT_TWO + "\nimport time; time.sleep(600)\n"
    options = launch_options("--set", "budgets.agent_seconds=8", "--iterations", "4", *harness.program(sleeps))
    assert harness.run(*options).returncode == 0
    assert harness.record().events.of("budget-spent")[0].data["budget"] == "agent time"
    assert harness.summary().status == "scored"


def test_memory_kills_inside_are_recorded_and_told(harness):
    eats = """
import subprocess, sys, time
subprocess.run([sys.executable, "-c", "x = bytearray(10**9); x[::4096] = b'1' * len(x[::4096])"])
for _ in range(50):
    code, status = curate("status")
    if status["events"]:
        print("TOLD", status["events"][0], flush=True)
        break
    time.sleep(0.2)
"""
    options = launch_options("--set", "limits.memory=256m", *harness.program(eats))
    assert harness.run(*options).returncode == 0
    assert harness.record().events.of("oom-kill")
    assert "TOLD" in (harness.runs / "r" / "agent.log").read_text()


WAITS = SUBMIT_TWO.replace("(1, 2)", "(1,)") + "\nimport time; time.sleep(600)\n"


def verified(harness: Harness) -> str | None:
    """The record fits, for what it is; its root digest, if it is sealed."""
    done = harness.run("verify", "r", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["problem"]) == (0, None)
    root: str | None = found["root"]
    return root


def test_ctrl_c_leaves_an_unscored_run_that_finish_scores(harness):
    process = harness.start(*launch_options("--iterations", "3", *harness.program(WAITS)))
    harness.wait_for("events.jsonl", "attempt-scored", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "harness finish" in output
    assert harness.summary().status == "unscored"
    root = verified(harness)
    assert root is not None
    finished = harness.run("finish", "r")
    assert finished.returncode == 0, finished.stderr
    assert harness.summary().status == "scored"
    assert verified(harness) not in (None, root)
    assert len(harness.summary().attempts) == 1


def test_ctrl_c_in_the_middle_of_an_attempt_does_not_record_it_as_failed(harness):
    options = launch_options(*slow(2), *harness.program(WAITS))
    process = harness.start(*options)
    harness.wait_for("events.jsonl", "attempt-started", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert [attempt.status for attempt in harness.summary().attempts] == ["pending"]
    assert harness.run("finish", "r").returncode == 0
    assert [attempt.status for attempt in harness.summary().attempts] == ["scored"]


def test_a_killed_harness_is_resumed_where_it_was(harness):
    options = launch_options(*slow(2), "--iterations", "3", *harness.program(SUBMIT_TWO))
    process = harness.start(*options)
    harness.wait_for("events.jsonl", '"attempt-started","data":{"n":1', process)
    process.kill()
    process.communicate(timeout=60)
    assert harness.summary().status == "unscored"
    assert verified(harness) is None
    again = harness.run("resume", "r")
    assert again.returncode == 0, again.stdout + again.stderr
    summary = harness.summary()
    assert summary.status == "scored"
    assert verified(harness) == summary.root
    assert summary.root in again.stdout
    # attempt 1 was executed after all, once; the agent came back, was told so, and went on
    assert [attempt.n for attempt in summary.attempts] == [1, 2]
    scored = [event.data["n"] for event in harness.record().events.of("attempt-scored")]
    assert scored == [1, 2]
    refused = harness.run("resume", "r")
    assert refused.returncode == 47


def test_two_launches_with_one_run_id(harness):
    process = harness.start(*launch_options(*harness.program(WAITS)))
    harness.wait_for("events.jsonl", "agent-started", process)
    second = harness.run(*launch_options("--agent", "nop"))
    assert second.returncode == 41
    assert "r exists" in second.stderr
    busy = harness.run("finish", "r")
    assert busy.returncode in (43, 47)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_rerunning_the_submissions_gives_the_same_scores(harness):
    harness.run(*launch_options("--iterations", "2", *harness.program(SUBMIT_TWO)))
    rerun = harness.run("rerun", "r", "--submissions", "--json")
    assert rerun.returncode == 0, rerun.stderr
    verdict = json.loads(rerun.stdout)
    assert verdict["verdict"] == "equal"
    assert {stage["verdict"] for stage in verdict["stages"]} == {"equal"}
    kinds = [(stage["kind"], stage["n"]) for stage in verdict["stages"] if not stage["part"]]
    assert kinds == [("training", 1), ("training", 2), ("headline", None)]


def test_training_that_comes_out_otherwise_is_told(harness):
    harness.run(*launch_options("--iterations", "1", *harness.program(SUBMIT_TWO)))
    path = harness.runs / "r" / "attempts" / "001" / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, "seed": result["seed"] + 1}))  # as if another machine trained otherwise
    rerun = harness.run("rerun", "r", "--submissions", "--epsilon", "0")
    assert rerun.returncode == 49, rerun.stdout
    assert re.search(r"scores 1 public +differs .*change of the mean", rerun.stdout)
    assert "because training 1 is not equal" in rerun.stdout


def test_a_selection_that_was_changed_in_the_record_is_named_and_not_trained_on(harness):
    harness.run(*launch_options("--iterations", "1", *harness.program(SUBMIT_TWO)))
    selection = harness.runs / "r" / "attempts" / "001" / "selection.jsonl"
    lines = selection.read_text().splitlines()[:5]
    selection.write_text("\n".join(lines) + "\n")
    rerun = harness.run("rerun", "r", "--submissions", "--epsilon", "0")
    assert rerun.returncode == 44
    assert "attempts/001/selection.jsonl is not the file that was submitted" in rerun.stderr


def test_nothing_is_left_behind(harness):
    process = harness.start(*launch_options(*slow(2), *harness.program(SUBMIT_TWO)))
    harness.wait_for("events.jsonl", "attempt-started", process)
    container = harness.record().events.of("agent-started")[0].data["container"]
    process.kill()
    process.communicate(timeout=60)
    assert exists(container)
    assert harness.run("finish", "r").returncode == 0
    assert not exists(container)
    assert str(harness.runs) not in Path("/proc/mounts").read_text()


def exists(container: str) -> bool:
    return subprocess.run(["docker", "inspect", container], capture_output=True).returncode == 0
