"""Runs in real containers that are killed (SIGKILL) at an event boundary and resumed: with the agent's container
still running, and with the container killed along with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness_command import Harness, launch_options

import faulty_harness
from curation_harness.record.store import RunRecord
from resume_walk import SMALL, Final_, final_state, leftovers

pytestmark = pytest.mark.containers

AGENT = """
import os
os.makedirs("policy", exist_ok=True); open("policy/policy.py", "w").write("# some rows")
for step, rows in enumerate(([-1], range(20), [*reversed(range(20))], range(20, 60))):
    open("rows.txt", "w").write("\\n".join(map(str, rows)))
    key = f"this-is-step-{step}"
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", f"step {step}", "--key", key)
    print(step, code, flush=True)
    if code == 0 and "attempt" in reply:
        curate("wait", str(reply["attempt"]), "--timeout", "60")
"""
"""One refused submission, an attempt, the same rows again, another attempt. Started again in its old workspace it
goes through all of it, under the same keys."""

long_pass = pytest.mark.skipif(os.environ.get("CURATION_WALK") != "all", reason="the long pass: CURATION_WALK=all")

KILLS = {
    "submission": "rename runs/r/attempts/001 in curation_harness.record.store.RunRecord.write_submission #1",
    "acceptance-torn": "fsync runs/r/events.jsonl in curation_harness.desk.intake.Intake._accept #2 torn",
    "training": "fsync runs/r/events.jsonl in curation_harness.run.loop.RunLoop._worker_event #3",
    "headline": "fsync runs/r/events.jsonl in curation_harness.attempts.headline.HeadlineRunner._tell #1",
}


def options(harness: Harness) -> list[str]:
    settings = [word for setting in SMALL for word in ("--set", setting)]
    return [*launch_options(*settings), *harness.program(AGENT)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Final_:
    harness = Harness(tmp_path_factory.mktemp("undisturbed"), cache)
    done = harness.run(*options(harness))
    assert done.returncode == 0, done.stderr
    return final_state(harness.runs / "r")


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Harness:
    return Harness(tmp_path, cache)


def killed(harness: Harness, point: str, *arguments: str) -> None:
    """The harness does what it is told until it comes to ``point``."""
    environment = {
        **harness.environment,
        "CURATION_TEST_KILL": point,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, faulty_harness.__file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def own_container(harness: Harness) -> str | None:
    """The run's container by its record; other runs on this engine may have the same name."""
    started = harness.record().events.of("agent-started")
    return str(started[-1].data["container"]) if started else None


def is_there(container: str) -> bool:
    return subprocess.run(["docker", "inspect", container], capture_output=True).returncode == 0


def check(harness: Harness, undisturbed: Final_) -> None:
    """The run has come to what it comes to undisturbed."""
    got = final_state(harness.runs / "r")
    for part in ("files", "events", "ledger", "charged"):
        assert getattr(got, part) == getattr(undisturbed, part)
    assert leftovers(harness.runs / "r") == []
    verified = harness.run("verify", "r")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("at", [at if at == "training" else pytest.param(at, marks=long_pass) for at in KILLS])
def test_a_run_whose_container_goes_on_without_it_comes_to_the_same_record(harness, undisturbed, at):
    killed(harness, KILLS[at], *options(harness))
    container = own_container(harness)
    assert container is not None
    if at != "headline":  # where the agent's part is over, its container is gone
        assert is_there(container)
    resumed = harness.run("resume", "r")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert not is_there(container)
    check(harness, undisturbed)


def test_a_run_killed_along_with_its_container_twice_can_be_replayed(harness, undisturbed):
    killed(harness, KILLS["acceptance-torn"], *options(harness))
    for point in (KILLS["training"], None):
        container = own_container(harness)
        subprocess.run(["docker", "kill", str(container)], capture_output=True)
        if point is not None:
            killed(harness, point, "resume", "r")
    resumed = harness.run("resume", "r")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    check(harness, undisturbed)
    assert len(RunRecord.find(harness.runs, "r").events.of("resumed")) == 2
    replayed = harness.run("rerun", "r", "--replay", "--json")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def test_a_second_process_is_refused_while_one_works_on_the_run(harness):
    waits = 'import time; print("here", flush=True); time.sleep(600)'
    process = harness.start(*launch_options(*harness.program(waits)))
    try:
        harness.wait_for("agent.log", "here", process)
        for command in ("resume", "finish"):
            refused = harness.run(command, "r")
            assert refused.returncode == 43, refused.stdout + refused.stderr
            assert "another process works on run r" in refused.stderr
            assert "Traceback" not in refused.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert len(harness.record().events.of("agent-started")) == 1
