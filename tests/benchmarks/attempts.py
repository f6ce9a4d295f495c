"""Runs with the agent ``random``, and what their records say of each attempt's time."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from curation_harness.record.store import RunRecord


@dataclass(frozen=True)
class Attempt:
    n: int
    wall: float
    """Seconds from the acceptance to the written score."""
    jobs: float
    """Seconds that workers spent on its jobs."""
    started: float
    """Seconds that workers needed to start for it."""
    waited: float
    """Seconds that its jobs waited for a slot, which another run had."""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="llava-tiny")
    parser.add_argument("--repeat", type=int, default=3, help="runs")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="passed on to `harness launch`"
    )
    return parser


def run(folder: Path, given: argparse.Namespace, number: int) -> tuple[Attempt, ...]:
    """Launch one run, each with another seed, and read its attempts."""
    run_id = f"bench-{number}"
    command = [sys.executable, "-m", "curation_harness", "launch", "--agent", "random", "--task", given.task]
    command += ["--run-id", run_id, "--run-dir", str(folder), "--seed", str(number), "--json"]
    command += ["--iterations", str(given.iterations), "--set", "headline.seeds=1"]
    for setting in given.set:
        command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    assert json.loads(done.stdout)["status"] == "scored"
    return attempts(RunRecord.open_run(folder / run_id))


def attempts(record: RunRecord) -> tuple[Attempt, ...]:
    found, began, jobs, started, waited = [], 0.0, 0.0, 0.0, 0.0
    for event in record.events.all():
        data = event.data
        if event.kind == "accepted":
            began, jobs, started, waited = _seconds(event.time), 0.0, 0.0, 0.0
        elif event.kind == "worker" and data["what"] == "job-done":
            jobs += data["seconds"]
            started += data["start_seconds"]
        elif event.kind == "worker" and data["what"] == "slot-taken":
            waited += data["waited_seconds"]
        elif event.kind == "attempt-scored":
            found.append(Attempt(data["n"], _seconds(event.time) - began, jobs, started, waited))
    return tuple(found)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
