"""Whether the fiftieth attempt costs what the fifth does: wall time and the harness's memory, attempt by attempt.

    python tests/benchmarks/many_attempts.py [--task probe] [--iterations 50] [--scaffold open]

One run with the agent ``random`` on the fast test task. Wall time goes from one acceptance to the next, so that what
the host does between two attempts (history, earlier submissions, the gate) is in it. Memory is the resident set of
the harness's own process. Then `harness diagnose` on that run: seconds, and seconds for an attempt.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import measuring
import psutil

from curation_harness.record.store import RunRecord

AIM = 1.3
"""Largest ratio of the last fifth to the first that counts as flat."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="probe")
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--scaffold", default="open")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        memory = launch(Path(folder), given)
        record = RunRecord.open_run(Path(folder) / "many")
        walls = between(record)
        seconds = diagnosed(Path(folder))
    tell(walls, memory, seconds, given)


def launch(folder: Path, given: argparse.Namespace) -> list[int]:
    """Run, and give the harness's resident bytes after each attempt."""
    options = ("--agent", "random", "--task", given.task, "--scaffold", given.scaffold, "--run-id", "many", "--json")
    more = ("--run-dir", str(folder), "--iterations", str(given.iterations), "--set", "headline.seeds=1")
    command = [sys.executable, "-m", "curation_harness", "launch", *options, *more]
    events = folder / "many" / "events.jsonl"
    memory: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        seen = psutil.Process(process.pid)
        while process.poll() is None:
            scored = events.read_text().count('"kind":"attempt-scored"') if events.exists() else 0
            if scored > len(memory):
                memory += [seen.memory_info().rss] * (scored - len(memory))
            time.sleep(0.02)
        if process.returncode:
            raise SystemExit(process.stderr.read() if process.stderr else process.returncode)
    return memory


def between(record: RunRecord) -> list[float]:
    """Seconds from one acceptance to the next."""
    times = [datetime.fromisoformat(event.time).timestamp() for event in record.events.of("accepted")]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def diagnosed(folder: Path) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "curation_harness", "diagnose", "many", "--run-dir", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["runs"]) == 1
    return time.monotonic() - began


def tell(walls: Sequence[float], memory: Sequence[int], seconds: float, given: argparse.Namespace) -> None:
    part = max(1, len(walls) // 5)
    print(measuring.machine(), f"\n{given.task}, scaffold {given.scaffold}, {len(memory)} attempts\n")
    rows = [("attempts", "seconds each: median (range)", "MiB of the harness, at their end")]
    for start in range(0, len(walls), part):
        chunk = walls[start : start + part]
        end = min(start + len(chunk), len(memory) - 1)
        rows.append(
            (f"{start + 2} to {start + len(chunk) + 1}", measuring.spread(chunk), f"{memory[end] / 2**20:.0f}")
        )
    measuring.table(rows)
    time_ratio = statistics.median(walls[-part:]) / statistics.median(walls[1 : part + 1])
    measuring.verdict("time, last fifth against first", time_ratio, AIM, at_most=True)
    measuring.verdict(
        "memory, last against tenth attempt", memory[-1] / memory[min(9, len(memory) - 1)], AIM, at_most=True
    )
    print(f"\nharness diagnose: {seconds:.1f} s, {seconds / len(memory):.2f} s an attempt")


if __name__ == "__main__":
    main()
