"""Sixteen runs side by side on one machine, in real containers, with a model each, sharing two slots.

Four of them are killed by ``kill -9`` in the middle, and ``harness clean`` is run while the others work.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest
from harness_command import POLICY, Harness
from scripted_model import KEY, ScriptedModel
from scripted_moves import Say

from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_plugins.selection import read_canonical
from curation_sandbox.engine import LABEL, Engine

RUNS: Final = tuple(f"many-{k:02d}" for k in range(16))
KILLED: Final = RUNS[12:]
ALONE: Final = "many-19"
"""A run by itself, before the others."""
HOLDING: Final = RUNS[:2]
"""Their agents wait until the killed ones were cleaned up."""
SLOTS: Final = ("cpu-0", "cpu-1")
SECONDS: Final = 400.0

AGENT = (
    POLICY
    + """
import os, time, urllib.request
me = sys.argv[1]
number = int(me[-2:])
print(f"marker <{me}>", sorted(os.listdir("/run/curation")), flush=True)
for _ in range(1 + number % 3):
    asked = {"model": "scripted", "messages": [{"role": "user", "content": f"marker <{me}>"}]}
    request = urllib.request.Request("http://127.0.0.1:8123/v1/chat/completions", json.dumps(asked).encode())
    request.add_header("content-type", "application/json")
    urllib.request.urlopen(request).read()
while not os.path.exists("/workspace/start"):
    time.sleep(0.05)
open("rows.txt", "w").write("\\n".join(str(row) for row in range(20 * number, 20 * number + 20)))
os.makedirs("policy", exist_ok=True); open("policy/policy.py", "w").write(f"# marker <{me}>\\n")
code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", f"marker <{me}>")
code, reply = curate("wait", str(reply["attempt"]), "--timeout", "300")
print(reply, flush=True)
while me in HOLDING and not os.path.exists("/workspace/go"):
    time.sleep(0.05)
"""
)


def marker(run: str) -> str:
    return f"marker <{run}>"


def rows_of(run: str) -> list[int]:
    number = int(run[-2:])
    return list(range(20 * number, 20 * number + 20))


@dataclass
class Together:
    """The sixteen runs, and what was seen of them."""

    harness: Harness
    temporary: Path
    model: ScriptedModel
    codes: dict[str, int] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    """Largest resident set of any process of a run, KiB."""
    said: dict[str, str] = field(default_factory=dict)
    containers_before: set[str] = field(default_factory=set)
    cleaned: str = ""
    containers_after: set[str] = field(default_factory=set)

    @cached_property
    def records(self) -> dict[str, RunRecord]:
        return {run: self.harness.record(run) for run in RUNS}

    def launch(self, run: str) -> subprocess.Popen[str]:
        output = (self.harness.folder / f"{run}.txt").open("w")
        options = ["launch", "--task", "probe", "--run-id", run, "--iterations", "2"]
        options += ["--set", "headline.seeds=1", "--set", "recipe.delay_seconds=0.4"]
        options += ["--model", "openai-compatible/scripted", "--base-url", self.model.base_url]
        options += ["--agent", "command", "--agent-dir", str(self.harness.folder / "agent")]
        options += ["--agent-arg", f"python3 /agent/agent.py {run}"]
        command = self.harness.command(*options)
        return subprocess.Popen(
            command, env=self.harness.environment, stdout=output, stderr=subprocess.STDOUT, text=True
        )

    def begin(self, run: str, process: subprocess.Popen[str]) -> None:
        """Let the agent go on, once it is there."""
        wait_for(self.harness.runs / run / "agent.log", marker(run), process)
        (self.harness.runs / run / "volumes" / "workspace" / "start").touch()

    def ended(self, run: str, process: subprocess.Popen[str]) -> None:
        """Wait for the process, and note what it used."""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = self.codes[run] = os.waitstatus_to_exitcode(status)
        self.peak[run] = usage.ru_maxrss
        self.said[run] = (self.harness.folder / f"{run}.txt").read_text()


def wait_for(path: Path, text: str, process: subprocess.Popen[str]) -> None:
    """Until a file holds a text; the process must live for it."""
    deadline = time.monotonic() + SECONDS
    while not holds(path, text):
        assert process.poll() is None, f"{path} has no {text}"
        assert time.monotonic() < deadline, f"{path} has no {text}"
        time.sleep(0.05)


def holds(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text(errors="replace")


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder for temporary files whose path is short: sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="cm-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def together(
    engine: Engine, cache: Path, short: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Together]:
    folder = tmp_path_factory.mktemp("many")
    (folder / "agent").mkdir()
    (folder / "agent" / "agent.py").write_text(AGENT.replace("HOLDING", repr(HOLDING)))
    with ScriptedModel([Say("yes")]) as model:
        harness = Harness(folder, cache)
        harness.environment |= {
            "TMPDIR": str(short),
            "CURATION_SLOTS": ",".join(SLOTS),
            "CURATION_SLOTS_DIR": str(folder / "slots"),
            "OPENAI_COMPATIBLE_API_KEY": KEY,
        }
        seen = Together(harness, short, model)
        alone = seen.launch(ALONE)  # by itself: what the others are measured against
        seen.begin(ALONE, alone)
        seen.ended(ALONE, alone)
        assert seen.codes[ALONE] == 0, seen.said[ALONE]
        processes = {run: seen.launch(run) for run in RUNS}
        try:
            for run, process in processes.items():
                wait_for(harness.runs / run / "events.jsonl", '"agent-started"', process)
            for run, process in processes.items():  # all sixteen are there: they submit at once
                seen.begin(run, process)
            kill_some(seen, processes, engine)
            for run, process in processes.items():
                if run not in KILLED:
                    seen.ended(run, process)
        finally:
            left = [process for process in processes.values() if process.poll() is None]
            for process in left:
                process.kill()
                process.wait()
            if left:  # the test has failed already
                harness.run("clean", timeout=SECONDS)
        yield seen


def kill_some(seen: Together, processes: dict[str, subprocess.Popen[str]], engine: Engine) -> None:
    """Kill four once their attempts were accepted; clean up; only then the holding ones may go on."""
    runs = seen.harness.runs
    for run in KILLED:
        wait_for(runs / run / "events.jsonl", '"accepted"', processes[run])
        processes[run].send_signal(signal.SIGKILL)
        seen.ended(run, processes[run])
    for run in HOLDING:
        wait_for(runs / run / "events.jsonl", '"attempt-scored"', processes[run])
    seen.containers_before = living(engine)
    cleaned = seen.harness.run("clean", timeout=SECONDS)
    seen.cleaned = cleaned.stdout
    assert cleaned.returncode == 0, cleaned.stderr
    seen.containers_after = living(engine)
    for run in HOLDING:
        (runs / run / "volumes" / "workspace" / "go").touch()


def living(engine: Engine) -> set[str]:
    """Runs of this test that have a container."""
    found = (container["Labels"].get(f"{LABEL}.run") for container in engine.containers(f"{LABEL}.run"))
    return {run for run in found if run in RUNS}


def test_every_run_but_the_killed_ones_comes_to_its_score(together: Together) -> None:
    assert {run for run, code in together.codes.items() if code == -signal.SIGKILL} == set(KILLED)
    for run in set(RUNS) - set(KILLED):
        assert together.codes[run] == 0, together.said[run]
        assert together.records[run].events.of("ended")[-1].data["status"] == "scored"
        assert together.records[run].headline() is not None


def test_no_run_has_anything_of_another(together: Together) -> None:
    for run, record in together.records.items():
        assert record.spec.run_id == run
        (submission,) = record.submissions()
        assert submission.note == marker(run)
        assert list(read_canonical(record.selection_file(1)).rows) == rows_of(run)
        assert f"{marker(run)} ['llm.sock', 'submit.sock']" in (record.folder / "agent.log").read_text()
        strangers = [marker(other).encode() for other in RUNS if other != run]
        log = ExchangeLog(record.folder)
        bodies = [log.body(digest) for entry in log.entries() for digest in (entry.request, entry.response) if digest]
        assert bodies
        texts = [
            path.read_bytes() for path in record.folder.rglob("*") if path.is_file() and "volumes" not in path.parts
        ]
        assert [text for text in strangers for one in (*bodies, *texts) if text in one] == []


def test_containers_sockets_and_workers_are_each_runs_own(together: Together) -> None:
    containers = [
        event.data["container"] for record in together.records.values() for event in record.events.of("agent-started")
    ]
    assert len(containers) == len(set(containers)) == len(RUNS)
    workers = [
        {event.data["pid"] for event in record.events.of("worker") if "pid" in event.data}
        for record in together.records.values()
    ]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(workers, 2))


def test_every_ledger_is_its_runs_own_and_exact(together: Together) -> None:
    asked = [request.raw.decode() for request in together.model.requests]
    for run, record in together.records.items():
        wanted = 1 + int(run[-2:]) % 3
        spent = ledger(record)
        assert (spent.iterations, spent.refusals, spent.model.requests) == (1, 0, wanted)
        assert sum(marker(run) in body for body in asked) == wanted


def test_slots_go_to_whoever_asked_first(together: Together) -> None:
    """Counted: how often a job that asked clearly later was served earlier. A draw by lot gives several a job."""
    jobs: list[tuple[float, float]] = []
    for record in together.records.values():
        for event in record.events.of("worker"):
            if event.data["what"] == "slot-taken":
                served = datetime.fromisoformat(event.time).timestamp()
                jobs.append((served - event.data["waited_seconds"], served))
    waited = [served - asked for asked, served in jobs]
    assert statistics.median(waited) > 0.1, "they did queue"
    overtaken = [
        sum(asked + 0.5 < other_asked and other_served + 0.2 < served for other_asked, other_served in jobs)
        for asked, served in jobs
    ]
    spread = f"waited {statistics.median(waited):.2f} s (median), {max(waited):.2f} s (longest)"
    sys.stdout.write(f"{len(jobs)} jobs {spread}; overtaken {sum(overtaken)} times\n")
    assert sum(overtaken) <= 0.25 * len(jobs), overtaken


def test_a_run_among_sixteen_needs_no_more_memory_than_one_alone(together: Together) -> None:
    alone = together.peak[ALONE]
    among = max(together.peak[run] for run in RUNS)
    sys.stdout.write(f"alone {alone / 1024:.0f} MiB, among sixteen at most {among / 1024:.0f} MiB\n")
    assert among < 1.3 * alone


def test_clean_removes_what_the_killed_left_and_nothing_of_the_living(together: Together) -> None:
    """Containers of the killed may be removed by others too: every resumed run on the machine looks for them."""
    assert set(HOLDING) <= together.containers_before & together.containers_after
    assert together.containers_after.isdisjoint(KILLED)
    assert not any(f"of run {run} " in together.cleaned for run in set(RUNS) - set(KILLED))
    removed = [line for line in together.cleaned.splitlines() if str(together.temporary) in line]
    assert len([line for line in removed if "socket folder" in line]) == len(KILLED)


def test_nothing_of_any_run_is_left(together: Together, engine: Engine) -> None:
    assert living(engine) == set()
    assert sorted(together.temporary.iterdir()) == []
    mounted = Path("/proc/mounts").read_text()
    assert str(together.harness.runs) not in mounted
    slots = together.harness.folder / "slots"
    assert sorted(path.name for path in slots.iterdir() if path.name.startswith("ticket")) == []
