"""Two runs side by side, as ``harness launch`` makes them: one agent attacks (``holes/``), the other is its
neighbour; and what is to be seen of both from outside."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from harness_command import Harness
from scripted_model import KEY, ScriptedModel

from curation_harness.record.store import RunRecord
from curation_plugins import registry
from curation_plugins.config import load
from curation_plugins.jobs import EvaluateResult, TrainResult
from curation_plugins.methods.library import MethodLibrary
from curation_probe.task import TASKS, ProbeTask
from probe_bench import ProbeBench, quiet

PROGRAM: Final = Path(__file__).with_name("holes")
SECRET: Final = "host-" + "secret-5a1de7"
"""Stands in the environment of the harness's process."""
ROWS: Final = tuple(range(100, 160))
SWAPPED: Final = tuple(range(200, 240))
NEIGHBOUR: Final = tuple(range(300, 350))
ATTACKS: Final = (
    "edit_the_harness",
    "edit_the_answers",
    "plant_results",
    "plant_a_reward",
    "submit_with_planted_results",
    "swap_after_submit",
    "foreign_rows",
    "everything_told",
    "search",
    "mounted",
    "rights",
    "network",
    "interfaces",
    "engine",
    "train_off_the_book",
    "reset_the_budget",
    "wreck_the_neighbour",
    "go_on_after_the_end",
)
ITERATIONS: Final = 3
SETTINGS: Final = ("--set", "headline.seeds=1")


@dataclass
class Holes:
    """What came of the two runs."""

    harness: Harness
    assets: Path
    canary: Path
    """A file on the host that no attack can make."""
    dry: dict[str, Any]
    """What ``--dry-run`` said of the neighbour's container."""
    assets_before: dict[str, bytes] = field(default_factory=dict)
    inspected: dict[str, Any] = field(default_factory=dict)
    """What the engine says of it."""
    as_root: list[str] = field(default_factory=list)
    """Files in it, while it ran, in which root found answers; and its control."""
    calls: list[str] = field(default_factory=list)
    """Addresses that connected to the host's listening port."""
    resumed: subprocess.CompletedProcess[str] | None = None

    def result(self, attack: str, run: str = "attacker") -> Any:
        found = {entry["attack"]: entry["result"] for entry in said(self.harness.runs / run)}
        assert attack in found, f"{attack} did not come to its end: {sorted(found)}"
        if isinstance(found[attack], dict):
            assert "broke" not in found[attack], found[attack]["broke"]
        return found[attack]

    def record(self, run: str = "attacker") -> RunRecord:
        return self.harness.record(run)

    def log(self, run: str = "attacker") -> str:
        return (self.harness.runs / run / "agent.log").read_text(errors="replace")


def said(run: Path) -> list[dict[str, Any]]:
    """The agents' own lines."""
    lines = (run / "agent.log").read_text(errors="replace").splitlines()
    return [json.loads(line.removeprefix("HOLE ")) for line in lines if line.startswith("HOLE {")]


def side_by_side(harness: Harness, model: ScriptedModel) -> Holes:
    """Both runs, from beginning to end."""
    harness.environment |= {"ANTHROPIC_API_KEY": KEY, "CURATION_TEST_SECRET": SECRET}
    place = harness.folder / "agent"
    shutil.copytree(PROGRAM, place, ignore=shutil.ignore_patterns("__pycache__"))
    rows = ",".join(map(str, NEIGHBOUR))
    honest = _options("neighbour", place, f"python3 /agent/neighbour.py {rows}", "--iterations", "1")
    planned = harness.run(*honest, "--dry-run", "--json")
    plan = json.loads(planned.stdout)["plan"]
    assets = Path(plan["assets"]["folder"])
    holes = Holes(harness, assets, harness.folder / "canary", plan["container"])
    neighbour = harness.start(*honest)
    with _ended(neighbour), _listening(holes.calls) as port:
        _wait_for(harness.runs / "neighbour", "waiting", neighbour)
        holes.assets_before = files_of(assets)
        container = holes.record("neighbour").events.of("agent-started")[0].data["container"]
        (place / "given.json").write_text(json.dumps(_given(holes, container, port)))
        model_options = ("--model", "anthropic/claude-sonnet-4-5", "--base-url", model.base_url)
        command = f"python3 /agent/holes.py {' '.join(ATTACKS)}"
        attacker = harness.start(
            *_options("attacker", place, command, "--iterations", str(ITERATIONS), *model_options)
        )
        with _ended(attacker):
            output, _ = attacker.communicate(timeout=600)
            assert attacker.returncode == 0, output[-3000:]
        holes.as_root = _searched_by_root(container, answers(assets))
        holes.inspected = json.loads(_docker("inspect", container))[0]
        _docker("exec", "-u", "1000:1000", container, "touch", "/workspace/go")
        output, _ = neighbour.communicate(timeout=300)
        assert neighbour.returncode == 0, output[-3000:]
    holes.resumed = harness.run("resume", "attacker")
    return holes


def _options(run: str, place: Path, command: str, *more: str) -> Sequence[str]:
    words = ("launch", "--task", "probe", "--run-id", run, *SETTINGS, "--agent", "command", "--agent-dir", str(place))
    return (*words, "--agent-arg", command, *more)


def _given(holes: Holes, container: str, port: int) -> dict[str, Any]:
    mounts = json.loads(_docker("inspect", container))[0]["Mounts"]
    theirs = [mount["Source"] for mount in mounts if mount["Destination"] in ("/workspace", "/run/curation")]
    neighbour = holes.harness.runs / "neighbour"
    texts = [*answers(holes.assets), *other_scaffolds(), KEY, SECRET]
    return {
        "rows": ROWS,
        "swapped": SWAPPED,
        "canary": str(holes.canary),
        "assets": [str(holes.assets / name) for name in ("items.jsonl", "truth.json", "pool/rows.jsonl")],
        "record": [str(holes.harness.runs / "attacker")],
        "neighbour": [*theirs, str(neighbour), str(neighbour / "volumes" / "workspace")],
        "addresses": [[address, port] for address in host_addresses()],
        "needles": [base64.b64encode(text.encode()).decode() for text in texts],
    }


def answers(assets: Path) -> list[str]:
    """Texts of which one is in every file that holds a benchmark's items, the planted truth or the base model."""
    items = [json.loads(line) for line in (assets / "items.jsonl").read_text().splitlines()]
    return [json.dumps(item["x"]) for item in items] + [
        (assets / "truth.json").read_text()[:200],
        (assets / "base.json").read_text()[:100],
    ]


def other_scaffolds() -> list[str]:
    """Sentences that only another scaffold than ``open`` shows, and the cards'."""
    built, task = registry.build().scaffolds, ProbeTask(load(TASKS / "probe" / "task.yaml"))
    own = built.get("open").rules(task)
    lines = {
        line.strip() for name in ("guide", "research", "adapt") for line in built.get(name).rules(task).splitlines()
    }
    cards = [card.summary for card in MethodLibrary().cards.values()]
    return [*sorted(line for line in lines if len(line) > 50 and line not in own), *cards]


def host_addresses() -> list[str]:
    wanted = (socket.AF_INET, socket.AF_INET6)
    entries = [entry for found in psutil.net_if_addrs().values() for entry in found if entry.family in wanted]
    return [*(entry.address.partition("%")[0] for entry in entries), "172.17.0.1", "1.1.1.1", "169.254.169.254"]


def honest_items(folder: Path, record: RunRecord, n: int, rows: Sequence[int]) -> list[dict[str, Any]]:
    """What training these rows with the attempt's seed comes to, item by item: nothing of the record but the seed."""
    result = record.result(n)
    assert result is not None
    bench = ProbeBench(folder)
    with bench.open() as session:
        job = bench.train_job(result.seed, rows)
        trained = session.call(bench.task.worker("train"), "train", job, TrainResult, quiet)
        scored = bench.evaluate_job().model_copy(update={"model": job.out / trained.model})
        session.call(bench.task.worker("evaluate"), "evaluate", scored, EvaluateResult, quiet)
    return [json.loads(line) for line in scored.out.read_text().splitlines()]


def _searched_by_root(container: str, texts: Sequence[str]) -> list[str]:
    words = ["rg", "-uuu", "--no-messages", "-l", "-a", "-F", "-f", "-", "/", "-g!/proc/**", "-g!/sys/**"]
    texts = [*texts, "this control is to be " + "found"]
    found = _docker("exec", "-i", "-u", "0:0", container, *words, given="\n".join(texts), codes=(0, 1, 2))
    return sorted(found.splitlines())


def _docker(*words: str, given: str | None = None, codes: Sequence[int] = (0,)) -> str:
    done = subprocess.run(["docker", *words], input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode in codes, done.stderr
    return done.stdout


@contextmanager
def _listening(calls: list[str]) -> Iterator[int]:
    """A port on all of the host's addresses; who connects is noted."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def note() -> None:
            with suppress(OSError):
                while True:
                    connection, address = server.accept()
                    connection.close()
                    calls.append(str(address[0]))

        threading.Thread(target=note, daemon=True).start()
        yield server.getsockname()[1]


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=60)
            process.kill()


def _wait_for(run: Path, attack: str, process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not ((run / "agent.log").exists() and any(entry["attack"] == attack for entry in said(run))):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
