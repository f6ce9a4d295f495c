"""A real engine restarted in the middle of a run: a second dockerd, private to this test, in a network of its own.

Slow, and needs root: loading an image into an engine without any takes most of a minute. Run it with

    CURATION_PRIVATE_ENGINE=1 pytest tests/containers/test_containers_engine_restart.py
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness_command import Harness, launch_options
from test_containers_faults import LOSES_ITS_CONTAINER, Watched

from curation_harness.record.state import ledger

pytestmark = [pytest.mark.containers, pytest.mark.slow]

SWITCH = "CURATION_PRIVATE_ENGINE"


class PrivateEngine:
    """A dockerd with folders, a socket and a network of its own; nobody else's is touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # --bridge=none deletes the bridge of another engine in the same network; in one of its own there is none
        command = ["unshare", "--net", "dockerd", "--bridge=none", "--iptables=false", "--ip-forward=false"]
        places = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"]
        places += [f"--pidfile={self.folder}/pid", f"--host={self.host}", f"--config-file={self.folder}/none.json"]
        (self.folder / "none.json").write_text("{}")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *places], stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 60
        while self.docker("version").returncode != 0:
            assert time.monotonic() < end, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.2)

    def stop(self, how: signal.Signals) -> None:
        assert self._process is not None
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, how)
        self._process.wait(60)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": self.host}
        return subprocess.run(["docker", *arguments], env=environment, capture_output=True, timeout=300)

    def load(self, image: str) -> None:
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        environment = {**os.environ, "DOCKER_HOST": self.host}
        subprocess.run(["docker", "load"], env=environment, stdin=save.stdout, check=True, capture_output=True)
        assert save.wait() == 0


@pytest.fixture
def private_engine() -> Iterator[PrivateEngine]:
    if not os.environ.get(SWITCH) or os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip(f"restarts an engine of its own, as root, where {SWITCH} is set")
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
    engine = PrivateEngine(folder)
    engine.start()
    try:
        engine.load("curation-harness/base:latest")
        yield engine
    finally:
        for container in engine.docker("ps", "-aq").stdout.decode().split():
            engine.docker("rm", "-f", container)
        engine.stop(signal.SIGTERM)
        while subprocess.run(["umount", str(folder / "data")], capture_output=True).returncode == 0:
            pass  # it mounts its folder on itself, and again after it was killed
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["restarted", "killed"])
def test_the_engine_is_restarted_in_the_middle_of_a_run(
    tmp_path: Path, cache: Path, private_engine: PrivateEngine, how: signal.Signals
) -> None:
    """Ended in order it takes its containers along; killed it leaves them at work until it is there again."""
    harness = Watched(tmp_path, cache)
    harness.environment["DOCKER_HOST"] = private_engine.host
    options = ("--iterations", "2", "--set", "headline.seeds=1", *harness.program(LOSES_ITS_CONTAINER))
    process = harness.start(*launch_options(*options))
    try:
        harness.wait_for("agent.log", "first done", process, 120)
        private_engine.stop(how)
        time.sleep(2)
        private_engine.start()
        output, _ = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "Traceback" not in output, output
    assert Harness.summary(harness).status == "scored"
    assert [attempt.status for attempt in harness.summary().attempts] == ["scored", "scored"]
    assert [data["what"] for data in harness.events("agent-lost")] == ["engine"]
    spent = ledger(harness.record())
    assert (spent.iterations, spent.refunded) == (2, 0)
    assert private_engine.docker("ps", "-aq").stdout == b""
    assert str(harness.runs) not in Path("/proc/mounts").read_text()
