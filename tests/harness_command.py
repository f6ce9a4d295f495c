"""The command ``harness`` as tests run it: a process of its own, with runs and a cache of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from curation_harness.record.store import RunRecord
from curation_harness.record.summary import Summary

CHECKOUT = Path(__file__).resolve().parents[1]
POLICY = """
import json, subprocess, sys
def curate(*args):
    done = subprocess.run(["curate", "--json", *args], capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout)
"""


class Harness:
    """The command, run as a user runs it, with runs and cache of the test's own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.runs = folder / "runs"
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        self.environment = {**os.environ, "CURATION_RUNS": str(self.runs), "CURATION_CACHE": str(cache)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "curation_harness", *arguments]

    def run(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def end_started(self) -> None:
        """End what a failing test would leave running."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=60)

    def program(self, body: str) -> list[str]:
        """Launch options for an agent that is this Python program."""
        place = self.folder / "agent"
        place.mkdir(exist_ok=True)
        (place / "agent.py").write_text(POLICY + body)
        return ["--agent", "command", "--agent-dir", str(place), "--agent-arg", "python3 /agent/agent.py"]

    def record(self, run: str = "r") -> RunRecord:
        return RunRecord.find(self.runs, run)

    def summary(self, run: str = "r") -> Summary:
        shown = self.run("show", run, "--json")
        assert shown.returncode == 0, shown.stderr
        return Summary.model_validate_json(shown.stdout)

    def wait_for(self, path: str, text: str, process: subprocess.Popen[str], seconds: float = 60) -> None:
        """Until a file of the run holds some text."""
        deadline = time.monotonic() + seconds
        place = self.runs / "r" / path
        while time.monotonic() < deadline:
            if place.exists() and text in place.read_text():
                return
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        raise AssertionError(f"{text!r} did not appear in {place}")


def another_checkout(harness: Harness, folder: Path) -> Harness:
    """The same runs and cache, and the command from a clone of this checkout, with what is not committed here."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is no git checkout, of which another could be made")
    clone = folder / "checkout"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(CHECKOUT), str(clone)], check=True)
    for name in _listed("--modified", "--others", "--exclude-standard"):
        place = clone / name
        if (CHECKOUT / name).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, place)
        else:
            place.unlink(missing_ok=True)
    made = Harness(harness.folder, Path(harness.environment["CURATION_CACHE"]))
    packages = ("sandbox", "plugins", "harness", "tests/plugins/curation-probe")
    made.environment["PYTHONPATH"] = os.pathsep.join(str(clone / package) for package in packages)
    made.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    where = [sys.executable, "-c", "import curation_harness as h, curation_probe as p; print(h.__file__, p.__file__)"]
    used = subprocess.run(where, env=made.environment, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(file).is_relative_to(clone) for file in used), used
    return made


def _listed(*options: str) -> list[str]:
    """Files of this checkout, by ``git ls-files``; one that was deleted is among the modified ones."""
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-z", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def launch_options(*more: str) -> Sequence[str]:
    return ("launch", "--task", "probe", "--run-id", "r", *more)


def slow(seconds: float) -> Sequence[str]:
    """Every job takes this much longer; one headline seed, so that the test does not pay for it three times."""
    return ("--set", f"recipe.delay_seconds={seconds:g}", "--set", "headline.seeds=1")
