"""Reference tables: known selections, trained and scored like attempts, so that a score means something."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from curation_harness import provenance, seeds
from curation_harness.attempts import against_truth
from curation_harness.errors import ReferencesInvalid
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.models import FORMAT, ReferenceArm, ReferenceSeed, ReferenceTable
from curation_harness.record.store import read
from curation_harness.trial import TrialRunner
from curation_plugins import assets as task_assets
from curation_plugins import selection as selections
from curation_plugins.api import Progress, Task


def folder(cache: Path, task: Task, assets: Path) -> Path:
    """Where a task's measurements are kept: one file per arm and seed, so that a stop loses at most one."""
    pool, recipe = task_assets.pool_digest(assets), provenance.recipe_digest(task)
    return cache / "references" / f"{task.name}-{pool[:12]}-{recipe[:12]}"


def find(cache: Path, task: Task, assets: Path) -> ReferenceTable | None:
    """The table measured on this machine, else the one that ships with the task; none if neither fits."""
    measured = folder(cache, task, assets) / "table.json"
    shipped = task.references_file()
    for path in (measured, shipped):
        if path is not None and path.exists():
            table = read(path, ReferenceTable)
            if _fits(table, task, assets):
                return table
    return None


def import_table(cache: Path, task: Task, assets: Path, path: Path) -> ReferenceTable:
    """Take over a table that was measured elsewhere.

    Raises:
        ReferencesInvalid: it belongs to another pool or recipe.
    """
    table = read(path, ReferenceTable)
    if not _fits(table, task, assets):
        raise ReferencesInvalid(
            f"{path} was measured on another pool or recipe than task {task.name} has here",
            hint="Scores only compare on the same pool and recipe; measure with `harness references`.",
        )
    target = folder(cache, task, assets)
    target.mkdir(parents=True, exist_ok=True)
    files.write_model(target / "table.json", table)
    return table


def _fits(table: ReferenceTable, task: Task, assets: Path) -> bool:
    return table.pool_digest == task_assets.pool_digest(assets) and table.recipe_digest == provenance.recipe_digest(
        task
    )


@dataclass(frozen=True)
class ReferenceRunner:
    """Measures the arms of ``task.yaml``'s ``references``."""

    cache: Path
    trials: TrialRunner
    progress: Progress

    def run(self) -> ReferenceTable:
        """Measure what is missing and write the table.

        Raises:
            WorkFailed: we failed; finished measurements stay.
        """
        task, assets = self.trials.task, self.trials.assets
        target = folder(self.cache, task, assets)
        target.mkdir(parents=True, exist_ok=True)
        arms = tuple(
            ReferenceArm(name=name, seeds=tuple(self._measure(target, name, k) for k in range(count)))
            for name, count in task.config.references.items()
        )
        table = ReferenceTable(
            format=FORMAT,
            task=task.name,
            pool_digest=task_assets.pool_digest(assets),
            recipe_digest=provenance.recipe_digest(task),
            arms=arms,
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            measured=now(),
        )
        files.write_model(target / "table.json", table)
        return table

    def _measure(self, target: Path, name: str, k: int) -> ReferenceSeed:
        path = target / f"{name}-{k}.json"
        if path.exists():
            return read(path, ReferenceSeed)
        measured = self._trial(name, k)
        files.write_model(path, measured)
        return measured

    def _trial(self, name: str, k: int) -> ReferenceSeed:
        task, assets = self.trials.task, self.trials.assets
        seed = seeds.of_reference(name, k)
        try:
            rows = task.reference_rows(name, seed, assets)
        except KeyError:
            raise ReferencesInvalid(
                f"task {task.name} lists the reference {name!r}, which it cannot make",
                hint="Correct `references` in its task.yaml; curation_plugins.references names the known ones.",
            ) from None

        def tell(what: str, done: float) -> None:
            self.progress(f"{name}, seed {k + 1} of {task.config.references[name]}: {what}", done)

        with tempfile.TemporaryDirectory(prefix="reference-", dir=self.cache) as scratch:
            path = None
            chosen = selections.of_rows(list(rows)) if rows is not None else None
            if chosen is not None:
                path = Path(scratch) / "selection.jsonl"
                path.write_bytes(chosen.canonical())
            trial = self.trials.run(path, seed, Path(scratch), tell)
        good = task.truth(assets)
        return ReferenceSeed(
            seed=seed,
            rows=len(chosen.rows) if chosen else 0,
            public=trial.public,
            sealed=trial.sealed,
            truth=against_truth(chosen, good, task.config.submission.rows_max)
            if chosen and good is not None
            else None,
        )
