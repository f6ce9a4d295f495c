"""Runs that are cut off: twice Ctrl-C, a disk that fills up; and what an agent may put on the user's terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from harness_command import Harness, launch_options

from curation_sandbox.engine import LABEL
from small_file_system import small_file_system

pytestmark = pytest.mark.containers

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


SUBMIT = """
import os
os.makedirs("policy", exist_ok=True)
open("policy/policy.py", "w").write("# first rows")
def submit(rows):
    open("rows.txt", "w").write("\\n".join(map(str, range(rows))))
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", f"first {rows}")
    print(code, reply, flush=True)
    return reply
"""


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path, cache)
    yield harness
    harness.end_started()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    with small_file_system(tmp_path / "small", "48m") as place:
        yield place


def containers(run: str) -> list[str]:
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", f"label={LABEL}.run={run}"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def mounted(folder: Path) -> bool:
    return str(folder) in Path("/proc/mounts").read_text()


def interrupt_twice(process: subprocess.Popen[str]) -> str:
    """Ctrl-C until it works: the agent does not hear the first, and the run would wait for it."""
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    return output


def test_ctrl_c_twice_ends_at_once_and_clean_removes_what_is_left(harness: Harness) -> None:
    run_id = f"twice-{os.getpid()}"
    process = harness.start("launch", "--task", "probe", "--run-id", run_id, *harness.program(DEAF))
    (harness.runs).mkdir(exist_ok=True)
    (harness.runs / "r").symlink_to(run_id)
    harness.wait_for("agent.log", "deaf", process)
    output = interrupt_twice(process)
    # an orderly end has exit code 130; this one did not wait for the agent
    assert process.returncode == -signal.SIGINT, output
    assert "Traceback" not in output
    assert len(containers(run_id)) == 1
    cleaned = harness.run("clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert f"of run {run_id}" in cleaned.stdout
    assert containers(run_id) == []
    assert not mounted(harness.runs)
    assert harness.summary(run_id).status == "unscored"
    assert harness.run("finish", run_id).returncode == 0
    assert harness.summary(run_id).status == "empty"


def test_ctrl_c_twice_takes_the_workers_along(harness: Harness) -> None:
    options = launch_options("--set", "recipe.delay_seconds=10", *harness.program(SUBMIT + "submit(20)" + DEAF))
    process = harness.start(*options)
    harness.wait_for("events.jsonl", "attempt-started", process)
    harness.wait_for("agent.log", "deaf", process)
    harness.wait_for("events.jsonl", "worker-started", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    interrupt_twice(process)
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert len(gone) == len(workers)
    harness.run("clean")
    assert [attempt.status for attempt in harness.summary().attempts] == ["pending"]


HESITATES = """
import time
print(curate("wait", str(submit(20)["attempt"]), "--timeout", "60"), flush=True)
while not os.path.exists("/workspace/go"):
    time.sleep(0.1)
submit(40)
"""


def fill(disk: Path) -> Path:
    """Write until nothing more goes in."""
    filler = disk / "filler"
    for size in (2**20, 2**12, 1):
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(size)):
                pass
    return filler


def test_a_disk_that_fills_up_ends_the_run_in_order_and_finish_goes_on(harness: Harness, small_disk: Path) -> None:
    harness.runs = small_disk / "runs"
    harness.environment["CURATION_RUNS"] = str(harness.runs)
    limits = ("--set", "limits.workspace_size=8m", "--set", "limits.home_size=4m", "--set", "limits.file_size=4m")
    limits += ("--set", "submission.max_bytes=1000000")
    process = harness.start(*launch_options(*limits, "--iterations", "2", *harness.program(SUBMIT + HESITATES)))
    harness.wait_for("events.jsonl", "attempt-scored", process)
    filler = fill(small_disk)
    (harness.runs / "r" / "volumes" / "workspace" / "go").touch()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 15, output
    assert output.count("error: ") == 1
    assert "disk is full" in output
    assert "Traceback" not in output
    assert str(harness.runs / "r") not in Path("/proc/mounts").read_text()
    filler.unlink()
    finished = harness.run("finish", "r")
    assert finished.returncode == 0, finished.stderr
    assert harness.summary().status == "scored"


def test_an_agent_cannot_write_to_the_users_terminal(harness: Harness) -> None:
    """Terminal sequences clear the screen, set titles, write to the clipboard; a bare return rewrites a line."""
    paints = r"""
print("\x1b[2J\x1b[31mowned\x1b]0;title\x07 \x9b31m\rover\x08 bell\x07", flush=True)
import sys; sys.stdout.buffer.write(b"\xff\x1b[5m\n")
"""
    done = harness.run("launch", "--task", "probe", "--run-id", "r", *harness.program(paints))
    assert done.returncode == 0, done.stderr
    assert "owned" in done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr)
    assert b"\x1b[2J" in (harness.runs / "r" / "agent.log").read_bytes()  # the record keeps what was said
