"""``harness signals``: measures what ships with a task's pool, shard by shard, and puts it into the pool.

A shard that was measured is kept in the same cache that ``curate signal`` uses: an interrupted run goes on where it
stopped, and an agent that asks for one of these signals over the whole pool gets it at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from curation_harness import provenance
from curation_harness.signal_shards import Shelf, Value, measured, shards, shelf_of
from curation_plugins import assets as task_assets
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import AssetsMissing
from curation_plugins.hub.store import Store
from curation_plugins.hub.wanted import Want
from curation_plugins.jobs import SignalJob
from curation_sandbox import owners


@dataclass(frozen=True)
class Shipped:
    """What was done."""

    folder: Path
    """The pool's folder of signals; empty task: it ships none."""
    signals: tuple[str, ...]
    rows: int
    measured: int
    """Rows times signals that were measured now; the others were kept from before."""
    seconds: float
    """For which the accelerator was held now."""


def wants(task: Task) -> list[Want]:
    """Models that the shipped signals are measured with, beside the base model."""
    return [want for want in task.shipped_signals().values() if want is not None]


@dataclass
class SignalMaker:
    """Makes the signals of one task's pool."""

    task: Task
    assets: Path
    session: EngineSession
    cache: Path
    progress: Progress
    _measured: int = 0
    _seconds: float = 0.0

    def run(self) -> Shipped:
        """Measure what is missing, and publish all of it.

        Raises:
            WorkFailed: a shard failed twice; what was measured is kept.
            AssetsMissing: a model that they are measured with is not here.
        """
        rows = tuple(range(self.task.pool_rows(self.assets)))
        found: dict[str, Shelf] = {}
        for name, want in self.task.shipped_signals().items():
            found[name] = self._measure(name, want, rows)
        folder = self.assets / "pool" / "signals"
        if found:
            self._publish(found, rows)
        return Shipped(folder, tuple(found), len(rows), self._measured, self._seconds)

    def _measure(self, name: str, want: Want | None, rows: tuple[int, ...]) -> Shelf:
        model = None if want is None else self._model(want)
        recipe = provenance.recipe_digest(self.task)
        shelf = shelf_of(self.cache, name, task_assets.base_digest(self.assets), recipe, want.key if want else "base")
        for part in shards(rows):
            if shelf.find(part) is None:
                job = SignalJob(name=name, rows=part, assets=self.assets, recipe=self.task.config.recipe, model=model)
                result = measured(self.session, self.task, job, lambda what, done: None)
                shelf.put(part, result.values)
                self._measured += len(part)
                self._seconds += result.seconds or 0.0
            self.progress(f"signal {name}, row {part[-1] + 1} of {len(rows)}", (part[-1] + 1) / len(rows))
        return shelf

    def _model(self, want: Want) -> Path:
        model = Store(self.cache).content(want)
        if model is None:
            raise AssetsMissing(f"{want.what} is not here", hint=f"`harness signals {self.task.name}` fetches it.")
        return model

    def _publish(self, found: Mapping[str, Shelf], rows: tuple[int, ...]) -> None:
        """Write all files beside the pool and swap them in; the manifest follows."""
        with owners.scratch(self.cache) as scratch:
            made = scratch / "signals"
            made.mkdir(mode=0o755)
            values = {name: _values(shelf, rows) for name, shelf in found.items()}
            self.task.write_signals(self.assets, values, made)
            task_assets.replace_signals(self.assets, made)


def _values(shelf: Shelf, rows: tuple[int, ...]) -> Iterator[Value]:
    """Row after row, a shard in memory at a time."""
    for part in shards(rows):
        values = shelf.find(part)
        assert values is not None
        yield from values
