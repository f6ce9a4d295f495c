"""Golden records for tests: real runs on the fast test task, of each kind and format, as they were exported then."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from curation_harness import archive
from curation_harness.record import sealing
from curation_harness.record.layout import KINDS, kind_of
from curation_harness.record.models import FORMAT
from curation_harness.record.store import RunRecord
from curation_harness.verification.scoring import Here
from curation_harness.verification.verify import verify

FOLDER: Final = Path(__file__).resolve().parents[1] / "golden" / "records"
ALL: Final = sorted(path.name.removesuffix(archive.SUFFIX) for path in FOLDER.glob(f"*{archive.SUFFIX}"))
NEWEST: Final = f"format-{FORMAT}-scripted"
"""The one with most kinds of files."""
NOTHING_HERE: Final = Here(None, None, "the test has no files of the task")


def opened(name: str, below: Path) -> RunRecord:
    """Unpacked without the checks and the waits for the disk that an import has; ``imported`` has them."""
    with zipfile.ZipFile(FOLDER / f"{name}{archive.SUFFIX}") as packed:
        packed.extractall(below)
        return RunRecord.open_run(below / packed.namelist()[0].partition("/")[0])


def imported(name: str, below: Path) -> RunRecord:
    return archive.bring_in(FOLDER / f"{name}{archive.SUFFIX}", below)


def problem(record: RunRecord, root: str | None = None, here: Here = NOTHING_HERE) -> str | None:
    """What `harness verify` names; the record is opened anew."""
    return verify(RunRecord.open_run(record.folder), here, root).problem


def resealed(record: RunRecord) -> None:
    """What somebody does who changed the record and knows how it is made."""
    sealing.seal(record)
    (record.folder / "beside.sha256").unlink()
    sealing.note_beside(record)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file."""
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def edit_line(path: Path, place: int, change: Callable[[Any], None]) -> None:
    """Change the JSON of one line; from 0."""
    lines = path.read_text().splitlines()
    tree = json.loads(lines[place])
    change(tree)
    lines[place] = json.dumps(tree)
    path.write_text("".join(line + "\n" for line in lines))


def edit_events(record: RunRecord, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the list of events; they are numbered anew."""
    path = record.folder / "events.jsonl"
    events = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps({**event, "seq": seq}) + "\n" for seq, event in enumerate(events, start=1)))


_MADE: Final = {
    "references.json": "references.json",
    "attempts/NNN/selection.npy": "attempts/001/selection.npy",
    "further files": "attempts/001/eval_results.jsonl",
    "refusals/NNN/selection.jsonl": "refusals/001/selection.jsonl",
    "refusals/NNN/selection.npy": "refusals/001/selection.npy",
    "native/turn-NNN/": "native/turn-001/.agent/session.jsonl",
    "server.log": "server.log",
    "report.html": "report.html",
    "diagnosis.html": "diagnosis.html",
    "reruns/NNN-replay.json": "reruns/001-replay.json",
    "reruns/NNN.json": "reruns/002-submissions.json",
    "reruns/": "reruns/002-submissions.log",
    "run.lock": "run.lock",
}
"""Kinds of files that the golden record has none of → one."""
OUTSIDE: Final = frozenset({"volumes/", "agent-clock", "policies/", "blobs/incoming/", "work in progress"})
"""Kinds that are no part of a record that has ended."""


def with_every_kind(below: Path) -> tuple[RunRecord, dict[str, str]]:
    """A sealed record with a file of every kind, and kind → path of one."""
    record = opened(NEWEST, below)
    for path in _MADE.values():
        place = record.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("" if path == "run.lock" else "made up\n")
    (record.folder / "workers.log").write_text("made up\n")  # of a real run it can be empty
    sealing.seal(record)
    sealing.note_beside(record)
    found: dict[str, str] = {}
    for file in sorted(path for path in record.folder.rglob("*") if path.is_file()):
        path = file.relative_to(record.folder).as_posix()
        kind = kind_of(path)
        assert kind is not None, path
        found.setdefault(kind.name, path)
    missing = {kind.name for kind in KINDS} - OUTSIDE - found.keys()
    assert not missing, f"no file of these kinds: {missing}"
    return record, found
