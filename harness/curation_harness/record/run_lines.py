"""One line a run, for lists of many: made from the record once, and again only when its files changed.

What was made is kept in the cache, a file for each folder of runs. It is never believed blindly: a line carries a
stamp of the sizes and times of all files that it was made from. Records are not written to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from curation_harness.record import files
from curation_harness.record.entry import Entry
from curation_harness.record.models import FORMAT
from curation_harness.record.state import best, status
from curation_harness.record.store import RunRecord, held, run_ids
from curation_harness.record.sums import HALVES, Half
from curation_sandbox import __version__
from curation_sandbox.errors import CurationError

FOLDER: Final = "run-lines"
"""Of the cache."""
_LINE: Final = 3
"""Raised with every change of ``Line`` or of how one is made: lines of before are made again."""
_UNREADABLE: Final = "unreadable: "
_STAMPED: Final = ("run.json", "events.jsonl", "headline.json")
_OF_ATTEMPT: Final = ("submission.json", "result.json")


class Line(Entry):
    """What a list says of one run."""

    run: str
    status: str
    """A ``RunStatus``, or ``unreadable:`` and why."""
    task: str | None = None
    agent: str | None = None
    attempts: int | None = None
    best_public: str | None = None
    sealed: str | None = None
    mean_of: dict[Half, str] = {}
    """Which mean a score is, by half; empty of a run that does not say it of both."""

    @property
    def ended(self) -> bool:
        """Whether the run came to its end: nothing will go on with it."""
        return self.status in ("scored", "empty")

    @property
    def readable(self) -> bool:
        """Whether the record could be read."""
        return not self.status.startswith(_UNREADABLE)


class _Kept(Entry):
    stamp: str
    line: Line


class _Known(Entry):
    version: str
    runs: dict[str, _Kept]
    """By name of the run's folder."""


def lines(runs: Path, cache: Path) -> dict[str, Line]:
    """A line for each run of a folder, by name of its folder, in the order in which they were begun."""
    place = cache / FOLDER / f"{hashlib.sha256(os.fsencode(runs)).hexdigest()[:24]}.json"
    known = _read(place)
    found = {name: _looked_up(runs / name, known.get(name)) for name in _begun(runs)}
    kept = {name: one for name, one in found.items() if one.line.readable}
    if kept != known:  # what cannot be read now may be read tomorrow, and no stamp tells: a mode, a disk
        _write(place, kept)
    return {name: _now(runs / name, kept.line) for name, kept in found.items()}


def _begun(runs: Path) -> list[str]:
    return sorted(run_ids(runs), key=lambda run: (runs / run / "run.json").stat().st_mtime_ns)


def _looked_up(folder: Path, known: _Kept | None) -> _Kept:
    stamp = "\n".join(_stamps(folder))
    digest = hashlib.sha256(os.fsencode(stamp)).hexdigest()[:32]  # a file's name is not always UTF-8
    return known if known is not None and known.stamp == digest else _Kept(stamp=digest, line=_made(folder))


def _stamps(folder: Path) -> Iterator[str]:
    yield from _stamps_of(folder, _STAMPED)
    try:
        attempts = sorted(entry.name for entry in os.scandir(folder / "attempts"))
    except OSError:
        return
    for attempt in attempts:
        yield attempt
        yield from _stamps_of(folder / "attempts" / attempt, _OF_ATTEMPT)


def _stamps_of(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            found = os.stat(folder / name)  # noqa: PTH116 - a thousand runs have tens of thousands of these
        except OSError:
            yield f"{name} none"
        else:
            yield f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _made(folder: Path) -> Line:
    try:
        record = RunRecord.open_run(folder)
        winner = best(record.results())
        headline, scoring = record.headline(), record.spec.scoring
        mean_of = scoring.mean_of if scoring is not None else {}
        return Line(
            run=record.spec.run_id,
            status=status(record),
            task=record.spec.task.name,
            agent=record.spec.agent.name,
            attempts=len(record.submissions()),
            best_public=f"{winner.public.mean:.4f}" if winner and winner.public else None,
            sealed=f"{headline.sealed.mean:.4f}" if headline else None,
            mean_of=dict(mean_of) if mean_of.keys() == set(HALVES) else {},
        )
    except (CurationError, OSError) as error:  # one damaged record does not hide the others
        return _unreadable(folder.name, error)


def _unreadable(run: str, error: CurationError | OSError) -> Line:
    if isinstance(error, CurationError):
        return Line(run=run, status=_UNREADABLE + error.message)
    return Line(run=run, status=f"{_UNREADABLE}{error.filename or run}: {error.strerror or error}")


def _now(folder: Path, line: Line) -> Line:
    """Whether a run goes on is no matter of its files."""
    if line.status not in ("running", "unscored"):
        return line
    try:
        return line.model_copy(update={"status": "running" if held(folder) else "unscored"})
    except (CurationError, OSError) as error:
        return _unreadable(line.run, error)


def _version() -> str:
    return f"{__version__} {FORMAT} {_LINE}"


def _read(place: Path) -> dict[str, _Kept]:
    try:
        found = _Known.model_validate_json(place.read_bytes())
    except (OSError, ValidationError):  # none yet, another version's, or spoilt
        return {}
    return found.runs if found.version == _version() else {}


def _write(place: Path, found: dict[str, _Kept]) -> None:
    known = _Known(version=_version(), runs=found)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write(place, known.model_dump_json(exclude_unset=True).encode())
    except OSError:  # a cache that cannot be written costs time, no more
        return
