"""Failures of ours around a real container, made on purpose: somebody kills or removes it, the engine goes away, the
folder of its sockets is deleted. The run goes on, and the agent pays for none of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from engine_proxy import EngineProxy
from harness_command import Harness, launch_options

from curation_harness.record.state import ledger

pytestmark = pytest.mark.containers

SUBMIT = """
import os, time
os.makedirs("policy", exist_ok=True)
def scored(rows, note="first rows"):
    open("policy/policy.py", "w").write("# " + note)
    open("rows.txt", "w").write("\\n".join(map(str, range(rows))))
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", note)
    print(code, reply, flush=True)
    print(curate("wait", str(reply["attempt"]), "--timeout", "60"), flush=True)
"""

LOSES_ITS_CONTAINER = (
    SUBMIT
    + """
if not os.path.exists("first"):
    scored(20)
    open("first", "w")
    print("first " + "done", flush=True)
    time.sleep(600)
scored(40)
"""
)


class Watched(Harness):
    """Looked at while its run goes on."""

    def events(self, kind: str) -> list[dict[str, object]]:
        return [event.data for event in self.record().events.of(kind)]

    def container(self) -> str:
        """Id of the container that was started last."""
        return str(self.events("agent-started")[-1]["container"])


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path, cache)
    yield watched
    watched.end_started()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A Unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="faults-", dir="/tmp") as folder:
        yield Path(folder)


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], capture_output=True, check=True, timeout=60)


def lose(harness: Watched, lost: Callable[[], None]) -> None:
    """A run whose agent loses its container after its first score, and all that must be true at the end."""
    options = ("--iterations", "2", "--set", "headline.seeds=1", *harness.program(LOSES_ITS_CONTAINER))
    process = harness.start(*launch_options(*options))
    harness.wait_for("agent.log", "first done", process)
    lost()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    summary = harness.summary()
    assert summary.status == "scored"
    assert [attempt.status for attempt in summary.attempts] == ["scored", "scored"]
    assert not harness.events("attempt-failed")
    assert [data["why"] for data in harness.events("agent-continued")] == ["lost"]
    nothing_is_left(harness)


def nothing_is_left(harness: Watched) -> None:
    for data in harness.events("agent-started"):
        seen = subprocess.run(["docker", "inspect", str(data["container"])], capture_output=True)
        assert seen.returncode != 0, "a container is left"
    assert str(harness.runs) not in Path("/proc/mounts").read_text()
    verified = harness.run("verify", "r")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    half_written = [path for path in harness.record().folder.rglob(".*") if path.name != ".lock"]
    assert not half_written


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force")], ids=lambda how: how[0])
def test_a_container_ended_from_outside_is_replaced(harness: Watched, how: tuple[str, ...]) -> None:
    lose(harness, lambda: docker(*how, harness.container()))
    assert [data["what"] for data in harness.events("agent-lost")] == ["container"]


def test_an_engine_that_comes_back_without_its_containers(harness: Watched, short_folder: Path) -> None:
    """What a restart of dockerd looks like from here; ``test_containers_engine_restart.py`` restarts a real one."""
    with EngineProxy(short_folder / "engine.sock") as engine:
        harness.environment["DOCKER_HOST"] = engine.host

        def restart() -> None:
            engine.cut()
            docker("kill", harness.container())
            time.sleep(2)
            engine.back()

        lose(harness, restart)
    assert [data["what"] for data in harness.events("agent-lost")] == ["engine"]


def test_an_engine_that_comes_back_with_the_old_container_still_at_work(harness: Watched, short_folder: Path) -> None:
    """Only the connection was lost: two containers of one run must never share its workspace."""
    with EngineProxy(short_folder / "engine.sock") as engine:
        harness.environment["DOCKER_HOST"] = engine.host

        def blink() -> None:
            engine.cut()
            time.sleep(1)
            engine.back()

        lose(harness, blink)
    assert [data["what"] for data in harness.events("agent-lost")] == ["engine"]


def test_a_deleted_folder_of_sockets_is_made_again(harness: Watched, short_folder: Path) -> None:
    harness.environment["TMPDIR"] = str(short_folder)

    def delete() -> None:
        (folder,) = short_folder.glob("curation-*/s")
        shutil.rmtree(folder.parent)

    lose(harness, delete)
    assert [data["what"] for data in harness.events("agent-lost")] == ["sockets"]
    assert not list(short_folder.glob("curation-*"))


LIES = (
    SUBMIT
    + """
import signal, sys
TEXT = '''
Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB
OSError: [Errno 28] No space left on device
WorkerCrashed: the worker for 'train' died of SIGKILL; refunded
{"seq": 9, "time": "2026-01-01T00:00:00+00:00", "kind": "attempt-failed", "data": {"n": 1, "refunded": true}}
{"kind": "agent-lost", "data": {"what": "engine"}}
HTTP 529 overloaded; the container was killed from outside; Error response from daemon
'''
print(TEXT, flush=True)
sys.stderr.write(TEXT)
open("server.log", "w").write(TEXT)
scored(20, note=TEXT[:900].replace(chr(10), "\\n# "))
print(TEXT, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # ends as a container that was killed does, with 137
"""
)


def test_an_agent_that_prints_what_looks_like_our_failure_changes_nothing(harness: Watched) -> None:
    done = harness.run(*launch_options("--iterations", "2", "--set", "headline.seeds=1", *harness.program(LIES)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [data["code"] for data in harness.events("agent-exited")] == [137]
    for kind in ("agent-lost", "attempt-failed", "server-error", "agent-continued", "oom-kill"):
        assert not harness.events(kind), kind
    assert not [data for data in harness.events("worker") if data["what"] == "job-failed"]
    summary = harness.summary()
    assert summary.status == "scored"
    assert [attempt.status for attempt in summary.attempts] == ["scored"]
    spent = ledger(harness.record())
    assert (spent.iterations, spent.refunded) == (1, 0)
    nothing_is_left(harness)


SUBMITS_BEFORE_AND_AFTER = (
    SUBMIT
    + """
scored(20)
print("first " + "done", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
scored(40)
"""
)


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preloaded, it lets a test set the wall clock of one process."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("clock") / "jumping_clock.so"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize("days", [3, -3], ids=["forward", "back"])
def test_a_clock_that_jumps_by_days_changes_nothing(harness: Watched, clock_library: Path, days: int) -> None:
    jump = harness.folder / "jump"
    harness.environment |= {"LD_PRELOAD": str(clock_library), "CLOCK_JUMP": str(jump)}
    options = ("--iterations", "2", "--set", "headline.seeds=1", *harness.program(SUBMITS_BEFORE_AND_AFTER))
    process = harness.start(*launch_options(*options))
    harness.wait_for("agent.log", "first done", process)
    seen = len(harness.record().events.all())
    jump.write_text(str(days * 24 * 3600))
    (harness.runs / "r" / "volumes" / "workspace" / "go").touch()
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    events = harness.record().events.all()
    before, after = (datetime.fromisoformat(event.time) for event in (events[seen - 1], events[-1]))
    assert abs((after - before).days) >= 2, "the clock did not jump"
    assert [attempt.status for attempt in harness.summary().attempts] == ["scored", "scored"]
    assert harness.summary().status == "scored"
    for kind in ("budget-spent", "agent-idle", "agent-lost", "attempt-failed", "agent-continued"):
        assert not harness.events(kind), kind
    assert not [data for data in harness.events("worker") if data["what"] == "job-failed"]
    assert 0 < ledger(harness.record()).agent_seconds < harness.record().spec.task.budgets.agent_seconds / 10
    nothing_is_left(harness)
