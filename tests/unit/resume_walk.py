"""Kills a run at chosen points, resumes it, and says what the record has come to in the end."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from curation_harness.errors import OptionInvalid
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.run.recovery import LOST
from curation_harness.verification.verify import verify, what_is_here
from curation_plugins import registry as registries
from curation_plugins.registry import Registry
from resume_child import RUN, Request, request_line

SMALL: Final = ("assets.rows=80", "assets.items=24", "recipe.epochs=1", "headline.seeds=2", "budgets.iterations=2")
CHILD: Final = Path(__file__).with_name("resume_child.py")

ONCE: Final = (
    "created",
    "refused",
    "duplicate",
    "accepted",
    "attempt-scored",
    "attempt-failed",
    "checkpoint-kept",
    "checkpoint-removed",
    "agent-over",
    "headline-seed",
    "ended",
)
"""Events that happen once, whatever happens in between; others tell what each process did."""
BESIDE: Final = (
    "curation_sandbox.blobs",
    "curation_harness.trajectory",
    "curation_harness.launch._write_up",
    "curation_harness.record.sealing.note_beside",
)
"""Functions that write uploads, and what is made of a record afterwards."""
_OF_A_TIME: Final = ("accepted", "refused", "created", "timings", "slot", "seconds", "agent_dir", "failure")
"""Keys of a record's files whose values are times and places, or quote some."""
_NOT_COMPARED: Final = re.compile(
    r"(agent|workers|server)\.log|run\.lock|trajectory\.json|report\.html|model/.*|blobs/.*|volumes/.*|events\.jsonl|\w+\.sha256"
)
"""Derived from the rest, or what processes printed; traffic and events are compared by what they come to."""


@dataclass(frozen=True)
class Final_:
    """What a record has come to, ids and times aside."""

    files: Mapping[str, str]
    events: Counter[str]
    ledger: Mapping[str, float]
    charged: Counter[str]
    """Shards of signals that were charged, with how often."""


def final_state(folder: Path) -> Final_:
    record = RunRecord.open_run(folder)
    events = record.events
    spent = ledger(record)
    return Final_(
        files={name: text for name, text in _files(folder) if not _NOT_COMPARED.fullmatch(name)},
        events=Counter(f"{event.kind} {_told(event.data)}" for event in events.of(*ONCE)),
        ledger={"iterations": spent.iterations, "refunded": spent.refunded, "refusals": spent.refusals},
        charged=Counter(str(event.data["part"]) for event in events.of("signal") if not event.data["cached"]),
    )


def leftovers(folder: Path) -> list[str]:
    """What only a write under way may have: scratch files and folders."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*") if _scratch(path.relative_to(folder))]
    return sorted(found)


def _scratch(path: Path) -> bool:
    return path.name.startswith(".") or path.parts[0] in ("policies", "agent-clock") or "incoming" in path.parts[:-1]


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not _scratch(path.relative_to(folder)):
            yield path.relative_to(folder).as_posix(), _text(path)


def _text(path: Path) -> str:
    text = path.read_bytes().decode("latin-1")
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(text)), sort_keys=True)
    return text


def _timeless(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _timeless(value) for key, value in tree.items() if key not in _OF_A_TIME}
    return [_timeless(value) for value in tree] if isinstance(tree, list) else tree


def _told(data: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in data.items() if key != "spec"}, sort_keys=True)


@dataclass
class Walk:
    """A process that makes runs, and a folder for them. Use as a context manager."""

    place: Path
    overrides: Sequence[str] = SMALL
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "assets").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "CURATION_SLOTS_DIR": str(self.place / "slots"),
            "CURATION_RETRY_SECONDS": "1",
            "PYTHONPATH": os.pathsep.join([str(CHILD.parent), os.environ.get("PYTHONPATH", "")]),
            "OPENAI_COMPATIBLE_API_KEY": "nobody-looks-at-it",
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def folder(self) -> Path:
        """Of a new run."""
        folder = self.place / f"{next(self._numbers):05d}"
        (folder / "cache").mkdir(parents=True)
        (folder / "cache" / "assets").symlink_to(self.place / "assets")
        return folder

    def process(self, folder: Path, kill: str | None = None, trace: Path | None = None) -> int:
        """One process's work on the run of a folder; its exit code, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = Request(str(folder), tuple(self.overrides), kill, None if trace is None else str(trace))
        self._process.stdin.write(request_line(asked))
        self._process.stdin.flush()
        status: int = json.loads(self._process.stdout.readline())["status"]
        return status

    def undisturbed(self) -> tuple[Final_, list[str]]:
        """What a run comes to that nobody kills, and the points it passes."""
        self._warm()
        folder = self.folder()
        trace = folder / "trace.txt"
        status = self.process(folder, trace=trace)
        assert status == 0, log(folder)
        assert leftovers(folder / "runs" / RUN) == []
        return final_state(folder / "runs" / RUN), trace.read_text().splitlines()

    def _warm(self) -> None:
        """The task's files are made, and every other first time is over."""
        assert self.process(self.folder()) == 0

    def killed(self, *points: str) -> Path | None:
        """The folder of a run that was killed at a point, and at further points when it was resumed, and then went
        through. None: a point was not passed."""
        folder = self.folder()
        for point in points:
            status = self.process(folder, kill=point)
            if status != -signal.SIGKILL:
                shutil.rmtree(folder)
                return None
        status = self.process(folder)
        # after the very last write there is nothing left to go on with
        assert status in (0, OptionInvalid.exit_code), f"{points}: {log(folder)}"
        return folder


def outcome(walk: Walk, want: Final_, *points: str) -> str | None:
    """What is wrong with a run that was killed at these points; none: nothing. A point that was not passed is."""
    try:
        folder = walk.killed(*points)
    except AssertionError as error:
        return str(error)
    if folder is None:
        return "a point was not passed"
    problems = [*_differences(want, final_state(folder / "runs" / RUN)), *_miscounted(folder, len(points))]
    problems += [f"left behind: {name}" for name in leftovers(folder / "runs" / RUN)]
    problems += _unverified(folder)
    shutil.rmtree(folder)
    return "; ".join(problems) or None


def _differences(want: Final_, got: Final_) -> Iterator[str]:
    for part in ("files", "events", "ledger", "charged"):
        then, now = getattr(want, part), getattr(got, part)
        for name in sorted({*then, *now}):
            if then.get(name) != now.get(name):
                yield f"{part}: {name}: {str(then.get(name))[:200]} undisturbed, {str(now.get(name))[:200]} here"


def _unverified(folder: Path) -> Iterator[str]:
    """What ``harness verify`` says."""
    record = RunRecord.open_run(folder / "runs" / RUN)
    problem = verify(record, what_is_here(record, _registry(), folder / "cache")).problem
    if problem is not None:
        yield f"verify: {problem}"


@functools.cache
def _registry() -> Registry:
    return registries.build()


def _miscounted(folder: Path, kills: int) -> Iterator[str]:
    """Requests on the ledger that the provider did not get, and the other way round. One that was reserved when the
    process was killed, and not yet sent, is on the ledger all the same; it says so."""
    events = RunRecord.open_run(folder / "runs" / RUN).events
    calls = [event.data["outcome"] for event in events.of("model-call")]
    lost, got = calls.count(LOST), provider_requests(folder)
    if not got <= len(calls) <= got + lost or lost > kills:
        yield f"requests: {len(calls)} on the ledger, {lost} of them lost; {got} at the provider"
    if len(events.of("done")) > 1:
        yield "done twice"


def one_of_each(points: Sequence[str]) -> list[str]:
    """A point of each function that flushes or renames a part of the record itself; which of its points follows from
    the function's name."""
    by_function: dict[str, list[str]] = {}
    for point in points:
        function = point.partition(" in ")[2].partition(" #")[0]
        if point.startswith(("fsync ", "rename ")) and not function.startswith(BESIDE):
            by_function.setdefault(function, []).append(point)
    return [found[zlib.crc32(name.encode()) % len(found)] for name, found in sorted(by_function.items())]


def log(folder: Path) -> str:
    """What the processes of a run printed."""
    return (folder / "child.log").read_text()[-3000:]


def provider_requests(folder: Path) -> int:
    """Requests that reached the model, by its own notes."""
    return len((folder / "provider.log").read_text().splitlines())
