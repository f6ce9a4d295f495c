"""One whole run in which ``cheater/cheater.py`` is the agent, and what is to be seen of it from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil
import zstandard
from harness_command import Harness
from scripted_model import KEY, Asked, ScriptedModel

from curation_harness.record.events import Event
from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.record.state import ledger, status
from curation_harness.record.store import RunRecord

PROGRAM: Final = Path(__file__).with_name("cheater")
MODEL: Final = "claude-sonnet-4-5"
GROWTH: Final = 768 * 2**20
"""Bytes that the harness may grow by while the agent attacks it with gigabytes: the room for bodies, and a few times
the largest of them while it is read."""


@dataclass
class Trial:
    """What came of a run."""

    folder: Path
    done: subprocess.CompletedProcess[str]
    asked: list[Asked]
    """What the provider was asked."""
    sizes: list[tuple[float, int]] = field(default_factory=list)
    """(Unix time, resident bytes) of the harness's process."""
    elsewhere: list[Asked] = field(default_factory=list)
    """What the provider of another run was asked meanwhile."""

    @property
    def said(self) -> dict[str, dict[str, Any]]:
        """The cheater's own lines, by attack."""
        found = {}
        for line in (self.folder / "agent.log").read_bytes().split(b"\n"):
            if line.startswith(b"CHEAT {"):
                entry = json.loads(line.removeprefix(b"CHEAT "))
                found[entry["attack"]] = entry
        return found

    def result(self, attack: str) -> Any:
        assert attack in self.said, (
            f"{attack} did not come to its end: {sorted(self.said)}\n{self.done.stderr[-3000:]}"
        )
        result = self.said[attack]["result"]
        if isinstance(result, dict):
            assert "broke" not in result, result["broke"]
        return result

    @property
    def events(self) -> tuple[Event, ...]:
        return RunRecord.open_run(self.folder).events.all()

    def named(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    @property
    def exchanges(self) -> tuple[ExchangeEntry, ...]:
        return ExchangeLog(self.folder).entries()

    def attacked(self) -> list[Asked]:
        """The provider's requests, but the harness's own question which models there are."""
        return self.asked[1:]

    def growth(self, tail: float = 0) -> int:
        """Bytes that the harness grew by while the agent had its turns, and ``tail`` seconds more."""
        begin = min(_unix(event) for event in self.named("agent-started"))
        end = max(_unix(event) for event in self.named("agent-exited")) + tail
        before = [size for at, size in self.sizes if at < begin]
        during = [size for at, size in self.sizes if begin <= at <= end]
        assert before
        assert len(during) > 3
        return max(during) - before[-1]


class WholeRun:
    """What holds of every run with a cheater; a test class inherits it, and its module has the fixture ``trial``."""

    status = "empty"

    def test_the_run_ends_in_order(self, trial: Trial) -> None:
        assert trial.done.returncode == 0, trial.done.stderr[-3000:]
        assert "Traceback" not in trial.done.stderr
        record = RunRecord.open_run(trial.folder)
        assert status(record) == self.status, record.events.all()[-5:]
        assert not trial.named("gateway-error"), (trial.folder / "server.log").read_text()[-3000:]
        assert not trial.named("server-error"), (trial.folder / "server.log").read_text()[-3000:]

    def test_honest_requests_are_answered_after_each_attack(self, trial: Trial) -> None:
        assert len(trial.said) > 1
        failed = [name for name, entry in trial.said.items() if not entry["honest"]]
        assert not failed, failed

    def test_the_key_is_nowhere(self, trial: Trial) -> None:
        key = KEY.encode()
        assert not places_of(key, trial.folder)
        assert KEY not in trial.done.stdout + trial.done.stderr
        assert all(asked.headers.get("x-api-key") == KEY for asked in trial.asked)  # it was in use

    def test_the_hosts_memory_stays_bounded(self, trial: Trial) -> None:
        assert trial.growth() < GROWTH, f"the harness grew by {trial.growth() / 2**20:.0f} MiB"

    def test_what_the_provider_was_asked_is_in_the_record_and_the_ledger(self, trial: Trial) -> None:
        recorded = trial.exchanges
        tries = sum(entry.tries for entry in recorded)
        gone = sum(entry.outcome == "client-gone" for entry in recorded)  # perhaps before the provider had answered
        assert tries <= len(trial.attacked()) <= tries + gone
        counted = [entry for entry in recorded if entry.counted]
        spent = ledger(RunRecord.open_run(trial.folder)).model
        assert len(counted) == len(trial.named("model-call")) == spent.requests
        assert sum(entry.tokens for entry in counted) == spent.tokens > 0
        ids = [entry.id for entry in recorded]
        assert len(set(ids)) == len(ids)


def _unix(event: Event) -> float:
    return datetime.fromisoformat(event.time).timestamp()


def cheat(
    harness: Harness,
    model: ScriptedModel,
    attacks: Sequence[str],
    *options: str,
    agent: str = "command",
    given: Mapping[str, Any] | None = None,
    seconds: float = 400,
) -> Trial:
    """A run whose agent makes these attacks, one after the other.

    Args:
        options: further options of ``harness launch``.
        agent: another agent than the one that makes the attacks by their names.
        given: what the attacks must know of the host.
    """
    with started(harness, model, attacks, *options, agent=agent, given=given) as process:
        sizes: list[tuple[float, int]] = []
        watching = threading.Thread(target=_weigh, args=(process.pid, sizes), daemon=True)
        watching.start()
        output, errors = process.communicate(timeout=seconds)
        watching.join()
    done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
    return Trial(harness.runs / "r", done, list(model.requests), sizes)


@contextmanager
def started(
    harness: Harness,
    model: ScriptedModel,
    attacks: Sequence[str],
    *options: str,
    agent: str = "command",
    given: Mapping[str, Any] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """The run's harness process, which is ended with the block."""
    place = harness.folder / "cheater"
    shutil.copytree(PROGRAM, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "given.json").write_text(json.dumps(given or {}))
    harness.environment["ANTHROPIC_API_KEY"] = KEY
    words = ["launch", "--task", "probe", "--run-id", "r", "--model", f"anthropic/{MODEL}"]
    words += ["--base-url", model.base_url, "--agent", agent, "--agent-dir", str(place)]
    if agent == "command":
        words += ["--agent-arg", f"python3 /agent/cheater.py {' '.join(attacks)}"]
    words += options
    process = subprocess.Popen(
        harness.command(*words),
        env=harness.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=60)
            process.kill()


def _weigh(pid: int, sizes: list[tuple[float, int]]) -> None:
    """Note the resident size of a process until it ends."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            sizes.append((time.time(), process.memory_info().rss))
            time.sleep(0.02)


@contextmanager
def workplace(cache: Path) -> Iterator[Harness]:
    """A folder of its own with a short path: sockets live below it."""
    with tempfile.TemporaryDirectory(prefix="cheat-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "t").mkdir()
        harness = Harness(Path(folder), cache)
        harness.environment["TMPDIR"] = f"{folder}/t"
        yield harness


def places_of(text: bytes, folder: Path) -> list[Path]:
    """Files below a folder that hold a text, as they are or unpacked."""
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink() and _holds(path, text)
    ]


def _holds(path: Path, text: bytes) -> bool:
    with path.open("rb") as file:
        if path.suffix == ".zst":
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            return _in_pieces(reader, text)
        return _in_pieces(file, text)


def _in_pieces(reader: Any, text: bytes) -> bool:
    before = b""
    while piece := reader.read(2**22):
        if text in before + piece:
            return True
        before = piece[-len(text) :]
    return False


def folder_size(folder: Path) -> int:
    """Bytes that all files below a folder take on disk."""
    return sum(os.lstat(path).st_blocks * 512 for path in folder.rglob("*"))
