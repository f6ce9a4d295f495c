"""Measured signals on disk, a file for each shard of rows, and the one call that measures a shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation_harness.record import files
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import SignalJob, SignalResult

SHARD = 512
"""Rows that are measured, charged and kept together."""

Value = float | tuple[float, ...] | None
Values = Sequence[Value]


def shards(rows: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The rows in parts of ``SHARD``."""
    for start in range(0, len(rows), SHARD):
        yield rows[start : start + SHARD]


@dataclass(frozen=True)
class Shelf:
    """What one signal of one model gave, by the rows that were measured together."""

    folder: Path

    def key(self, rows: tuple[int, ...]) -> str:
        """Names a request for these rows."""
        return hashlib.sha256(f"{self.folder.name}\n{','.join(map(str, rows))}".encode()).hexdigest()[:32]

    def find(self, rows: tuple[int, ...]) -> Values | None:
        """Values of these rows, if every one of their shards was measured."""
        values: list[Value] = []
        for part in shards(rows):
            try:
                values += SignalResult.model_validate_json(self._path(part).read_bytes()).values
            except (OSError, ValueError):  # not there, or spoilt by another run that was killed
                return None
        return values

    def put(self, part: tuple[int, ...], values: Values) -> None:
        """Keep the values of one shard."""
        path = self._path(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, SignalResult(values=tuple(values)).model_dump_json().encode())

    def _path(self, part: tuple[int, ...]) -> Path:
        return self.folder / f"{self.key(part)}.json"


def shelf_of(cache: Path, name: str, assets_digest: str, recipe_digest: str, model: str) -> Shelf:
    """The shelf of a signal: what it is measured on, with which recipe's limits, by which model."""
    named = "\n".join((name, assets_digest, recipe_digest, model))
    return Shelf(cache / "signals" / hashlib.sha256(named.encode()).hexdigest()[:24])


def measured(session: EngineSession, task: Task, job: SignalJob, progress: Progress) -> SignalResult:
    """One shard's job, its answer checked.

    Raises:
        WorkFailed: the worker failed, or gave another number of values than it was given rows.
    """
    result = session.call(task.worker("signal"), "signal", job, SignalResult, progress)
    if len(result.values) != len(job.rows):
        raise WorkerReplyInvalid(f"signal {job.name}: {len(result.values)} values for {len(job.rows)} rows")
    return result
