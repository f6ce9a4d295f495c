"""What a run has given its agent so far, as a folder: policies read it at ``/history``, in the agent's container (by
``curate history --save``) and when the host runs them again.

::

    history.json                    the attempts with their scores, as `curate --json history` prints them
    attempts/<n>/selection.txt      the rows of attempt n, in the form of a submission (kind ``uids``: selection.npy)
    signals/<name>.jsonl            every value bought of a signal: {"row": …, "value": …}, ascending by row
    signals/<name>-attempt<n>.jsonl likewise, measured with attempt n's model
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from curation_harness.record import files
from curation_harness.record.store import RunRecord
from curation_plugins.config import Kind
from curation_plugins.selection import Selection, read_canonical
from curation_sandbox.protocol import History, HistoryFile

SELECTION_NAMES: Final[Mapping[Kind, str]] = {"rows": "selection.txt", "uids": "selection.npy"}
"""What a submission's file is called for agents."""

Value = float | tuple[float, ...] | None

_ROW = re.compile(rb'\{"row": ?(\d+)')
_ODD = re.compile(r"[^A-Za-z0-9_.-]")


class HistoryFolder:
    """The folder ``history`` of a run record. Safe to use from several threads."""

    def __init__(
        self,
        record: RunRecord,
        view: Callable[[], History],
        write: Callable[[Selection, Path], None] = Selection.write,
    ) -> None:
        """Args:
        view: what the agent is told of its attempts.
        write: writes a selection in the form of a submission, see ``Task.write_submission``.
        """
        self._record = record
        self._write = write
        self._selection_name = SELECTION_NAMES[record.spec.task.submission.kind]
        self._view = view
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        return self._record.folder / "history"

    def refreshed(self) -> Path:
        """The folder, as it stands now. Files that do not change are left alone: a container may be reading them."""
        with self._lock:
            for part in ("attempts", "signals"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            for submission in self._record.submissions():
                place = self.folder / "attempts" / str(submission.n) / self._selection_name
                if not place.exists():
                    place.parent.mkdir(exist_ok=True)
                    scratch = place.with_name(f".{place.name}.tmp")
                    self._write(read_canonical(self._record.selection_file(submission.n)), scratch)
                    files.publish_file(scratch, place)
            told = self._view().model_dump_json(indent=1).encode() + b"\n"
            place = self.folder / "history.json"
            if not place.exists() or place.read_bytes() != told:
                files.write(place, told)
            readable(self.folder)
        return self.folder

    def frozen(self, place: Path) -> None:
        """The folder as it stands now, at a new place. Its files are only ever replaced: a second name keeps them."""
        folder = self.refreshed()
        with self._lock:
            shutil.copytree(folder, place, copy_function=_linked, ignore=shutil.ignore_patterns(".*"))

    def files(self) -> tuple[HistoryFile, ...]:
        """What is in the folder, refreshed."""
        folder = self.refreshed()
        found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return tuple(
            HistoryFile(path=path.relative_to(folder).as_posix(), size=path.stat().st_size) for path in found
        )

    def file(self, name: str) -> Path | None:
        """The file of that path in the folder; none: there is no such."""
        return next((self.folder / one.path for one in self.files() if one.path == name), None)

    def add_signal(self, name: str, attempt: int | None, rows: Sequence[int], values: Sequence[Value]) -> None:
        """Keep what was measured for the agent; of a row that is there already, nothing changes."""
        stem = _ODD.sub("-", name) + ("" if attempt is None else f"-attempt{attempt}")
        place = self.folder / "signals" / f"{stem}.jsonl"
        with self._lock:
            lines = _lines(place)
            new = {row: value for row, value in zip(rows, values, strict=True) if row not in lines}
            if not new:
                return
            lines |= {row: json.dumps({"row": row, "value": value}).encode() for row, value in new.items()}
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write(place, b"".join(lines[row] + b"\n" for row in sorted(lines)))


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def readable(folder: Path) -> None:
    """Let the container's user read a folder of ours, whatever the umask of this process."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _lines(place: Path) -> dict[int, bytes]:
    """Row → its line, as it stands: vectors of a whole pool need not be parsed to be put in order."""
    if not place.exists():
        return {}
    found = {}
    for line in place.read_bytes().splitlines():
        row = _ROW.match(line)
        if row is not None:
            found[int(row[1])] = line
    return found
