"""Reference tables: known selections, trained and scored like attempts, so that a score means something.

::

    <cache>/references/<task>-<pool>-<recipe>/
        <reference>-<k>/     scores.json (written last), items-public.jsonl, items-sealed.jsonl
        noise/               what `harness noise` measures, see ``noise``
        table.json           all of it as one table
        imported.json        a table that was measured elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from curation_harness import provenance, seeds
from curation_harness.attempts.runner import against_truth
from curation_harness.attempts.trial import TrialRunner
from curation_harness.errors import ReferencesInvalid
from curation_harness.record import files
from curation_harness.record.events import now
from curation_harness.record.measures import Noise
from curation_harness.record.models import TABLE_FORMAT, Origin, ReferenceArm, ReferenceSeed, ReferenceTable
from curation_harness.record.scheme import Scheme
from curation_harness.record.store import read
from curation_harness.record.sums import HALVES, Halves, pack, shorten, unpack
from curation_plugins import assets as task_assets
from curation_plugins import selection as selections
from curation_plugins.api import Progress, Task
from curation_plugins.config import CANONICAL_NAMES
from curation_sandbox import owners

FIXED = "random-fixed"
"""One random selection under several training seeds: what the noise floor is made of."""


def folder(cache: Path, task: Task, assets: Path) -> Path:
    """Where a task's measurements are kept: one folder per arm and seed, so that a stop loses at most one."""
    pool, recipe = task_assets.pool_digest(assets), provenance.recipe_digest(task)
    return cache / "references" / f"{task.name}-{pool[:12]}-{recipe[:12]}"


def find(cache: Path, task: Task, assets: Path) -> ReferenceTable | None:
    """The table measured on this machine, else an imported one, else the one that ships with the task; none if none
    fits. What ``harness noise`` measured here is put in."""
    here = folder(cache, task, assets)
    shipped = task.references_file()
    for path in (here / "table.json", here / "imported.json", shipped):
        if path is not None and path.exists():
            table = _read_table(path)
            if path.parent == here or _fits(table, task, assets):
                noise = _noise(here)
                return table.model_copy(update={"noise": noise}) if noise else table
    return None


def import_table(
    cache: Path, task: Task, assets: Path, path: Path, origin: Origin | None, other_digests: bool = False
) -> ReferenceTable:
    """Take over a table that was measured elsewhere.

    Args:
        origin: who measured it, with what; none if the table says so itself.
        other_digests: take it over even if it is of another pool or recipe.

    Raises:
        ReferencesInvalid: nobody says where it comes from; it is of another pool or recipe, and that was
            not admitted; or references were measured here already.
    """
    table = _read_table(path)
    origin = origin or table.origin
    if origin is None:
        raise ReferencesInvalid(
            f"{path} does not say who measured it",
            hint="Say it: --measured-by WHO --model MODEL@REVISION --recipe NAME.",
        )
    fits = _fits(table, task, assets)
    if not fits and not other_digests:
        raise ReferencesInvalid(
            f"{path} was measured on another pool or recipe than task {task.name} has here: "
            + _digests(table, task, assets),
            hint="Scores only compare on the same pool and recipe; measure with `harness references`. If they are"
            " known to be the same in what counts, --other-digests takes it over, and every report says so.",
        )
    target = folder(cache, task, assets)
    if (target / "table.json").exists():
        raise ReferencesInvalid(
            f"the references of task {task.name} were measured here already",
            hint=f"They would hide the imported ones; to use those instead, move {target} away.",
        )
    target.mkdir(parents=True, exist_ok=True)
    table = table.model_copy(update={"origin": origin.model_copy(update={"other_digests": not fits})})
    files.write_model(target / "imported.json", table)
    return table


def _read_table(path: Path) -> ReferenceTable:
    """A table that can be used: what is wrong with it must not be found out when a run is over.

    Raises:
        RecordInvalid: it is no table.
        ReferencesInvalid: a reference has no seeds, or its sums do not fit.
    """
    table = read(path, ReferenceTable)
    seeds_of = {arm.name: len(arm.seeds) for arm in table.arms}
    wrong = "" if seeds_of else "lists no reference"
    if 0 in seeds_of.values() or len(seeds_of) != len(table.arms):
        wrong = "lists a reference twice or without seeds"
    if table.sums is not None:
        unpack(table.sums)
        if {name: len(columns) for name, columns in table.sums.values.items()} != seeds_of:
            wrong = "holds sums of other references or seeds than it lists"
    if wrong:
        raise ReferencesInvalid(f"{path} {wrong}", hint="The table was changed or damaged: export it again.")
    return table


def _fits(table: ReferenceTable, task: Task, assets: Path) -> bool:
    return table.pool_digest == task_assets.pool_digest(assets) and table.recipe_digest == provenance.recipe_digest(
        task
    )


def _digests(table: ReferenceTable, task: Task, assets: Path) -> str:
    pool, recipe = task_assets.pool_digest(assets), provenance.recipe_digest(task)
    return (
        f"pool {table.pool_digest[:12]} there and {pool[:12]} here,"
        f" recipe {table.recipe_digest[:12]} there and {recipe[:12]} here"
    )


def _noise(here: Path) -> Noise | None:
    path = here / "noise" / "noise.json"
    return read(path, Noise) if path.exists() else None


@dataclass(frozen=True)
class ReferenceRunner:
    """Measures the arms of ``task.yaml``'s ``references``."""

    cache: Path
    trials: TrialRunner
    progress: Progress

    @property
    def folder(self) -> Path:
        return folder(self.cache, self.trials.task, self.trials.assets)

    def run(self) -> ReferenceTable:
        """Measure what is missing and write the table.

        Raises:
            ReferencesInvalid: the task knows no such reference; nothing was measured.
            WorkFailed: we failed; finished measurements stay.
        """
        wanted = self.trials.task.config.references
        for name in wanted:
            self.selection(name, seeds.of_reference(name, 0))
        self.measure_all([(name, k, count) for name, count in wanted.items() for k in range(count)])
        return self.write_table()

    def measure_all(self, wanted: Sequence[tuple[str, int, int]]) -> None:
        """Each ``(reference, k, seeds of it)``: as many side by side as the engine has slots.

        Raises:
            WorkFailed: we failed; finished measurements stay, and none is begun any more.
        """
        every = [(*one, f"{number} of {len(wanted)}: ") for number, one in enumerate(wanted, start=1)]
        at_once = min(self.trials.session.side_by_side(), len(every))
        if at_once < 2:
            for one in every:
                self.measure(*one)
            return
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="reference")
        try:
            for done in as_completed([pool.submit(self.measure, *one) for one in every]):
                done.result()
        finally:
            # those under way end when the session is closed: nobody waits for them after Ctrl-C or a failure
            pool.shutdown(wait=False, cancel_futures=True)

    def write_table(self) -> ReferenceTable:
        """Put all that was measured into one table: the arms of the configuration, with what further seeds there
        are. Nothing is written where an arm is missing."""
        task, assets = self.trials.task, self.trials.assets
        arms = {name: self.measured(name) for name in task.config.references}
        items = {
            name: [self._halves(name, k) for k in range(len(measured))] for name, measured in arms.items() if measured
        }
        table = ReferenceTable(
            format=TABLE_FORMAT,
            task=task.name,
            pool_digest=task_assets.pool_digest(assets),
            recipe_digest=provenance.recipe_digest(task),
            arms=tuple(ReferenceArm(name=name, seeds=measured) for name, measured in arms.items()),
            sums=pack(items) if items else None,
            noise=_noise(self.folder),
            code=provenance.code_revision(),
            hardware=provenance.hardware(),
            measured=now(),
        )
        if all(len(arms[name]) >= count for name, count in task.config.references.items()):
            files.write_model(self.folder / "table.json", table)
        return table

    def _place(self, name: str, k: int) -> Path:
        return self.folder / f"{name}-{k}"

    def measured(self, name: str) -> tuple[ReferenceSeed, ...]:
        """The seeds of a reference that were measured, from the first on."""
        found: list[ReferenceSeed] = []
        while (path := self._place(name, len(found)) / "scores.json").exists():
            found.append(read(path, ReferenceSeed))
        return tuple(found)

    def _halves(self, name: str, k: int) -> Halves:
        scheme = Scheme.of(self.trials.task)
        return {half: shorten(scheme.tally(scheme.read(self._place(name, k), half))) for half in HALVES}

    def measure(self, name: str, k: int, count: int, overall: str = "") -> ReferenceSeed:
        """The reference's k-th seed, measured now if it was not before.

        Args:
            overall: put before what is told of the progress.

        Raises:
            WorkFailed: we failed.
            ReferencesInvalid: the task knows no such reference.
        """
        place = self._place(name, k)
        if (place / "scores.json").exists():
            return read(place / "scores.json", ReferenceSeed)
        place.mkdir(parents=True, exist_ok=True)

        def tell(what: str, done: float) -> None:
            self.progress(f"{overall}{name}, seed {k + 1} of {count}: {what}", done)

        measured = self._trial(name, k, place, tell)
        files.write_model(place / "scores.json", measured)
        return measured

    def _trial(self, name: str, k: int, place: Path, tell: Progress) -> ReferenceSeed:
        task, assets = self.trials.task, self.trials.assets
        seed = seeds.of_reference(name, k)
        chosen = self.selection(name, seed)
        with owners.scratch(self.cache) as scratch:
            path = write_selection(chosen, scratch) if chosen is not None else None
            trial = self.trials.run(path, seed, place, tell)
        good = task.truth(assets)
        return ReferenceSeed(
            seed=seed,
            rows=len(chosen.rows) if chosen else 0,
            public=trial.public,
            sealed=trial.sealed,
            all_items=trial.all_items,
            truth=against_truth(chosen, good, task.config.submission.rows_max)
            if chosen and good is not None
            else None,
        )

    def selection(self, name: str, seed: int) -> selections.Selection | None:
        """The rows of a reference; none for the untrained model.

        Raises:
            ReferencesInvalid: the task knows no such reference.
        """
        task = self.trials.task
        try:
            rows = task.reference_rows(name, seed, self.trials.assets)
        except KeyError:
            raise ReferencesInvalid(
                f"task {task.name} lists the reference {name!r}, which it cannot make",
                hint="Correct `references` in its task.yaml; curation_plugins.references names the known ones.",
            ) from None
        return selections.of_rows(rows, task.config.submission.kind) if rows is not None else None


def write_selection(chosen: selections.Selection, scratch: Path) -> Path:
    path = scratch / CANONICAL_NAMES[chosen.kind]
    chosen.write(path)
    return path
