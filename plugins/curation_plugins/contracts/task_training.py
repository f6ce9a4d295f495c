"""The contract of a task's workers, held by running them."""

from __future__ import annotations

import math
import random
import tempfile
from collections import defaultdict
from pathlib import Path

from curation_plugins import selection
from curation_plugins.api import Engine, EngineSession, Task
from curation_plugins.contracts.require import require
from curation_plugins.engines.local import LocalEngine
from curation_plugins.jobs import (
    EvaluateJob,
    EvaluateResult,
    ItemResult,
    SignalJob,
    SignalResult,
    Split,
    TrainJob,
    TrainResult,
    read_predictions,
)

SPLITS: tuple[Split, ...] = ("public", "sealed")

Items = dict[tuple[str, str], ItemResult]


def check_task_training(task: Task, assets: Path, folder: Path, engine: Engine | None = None) -> None:
    """Train on a few rows and score, as an attempt does, on ``engine`` (this machine if none is given)."""
    engine = engine or LocalEngine()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        bench = _Bench(task, assets, Path(name))
        with bench.open(engine) as session:
            _check_benchmarks(task, {split: bench.evaluate(session, None, split) for split in SPLITS})
            first = bench.train_and_score(session, seed=1)
            other = bench.train_and_score(session, seed=2)
            _check_signals(task, bench, session)
        with bench.open(engine) as session:  # a new process: the first one's memory must not have mattered
            again = bench.train_and_score(session, seed=1)
    require(
        first == again,
        f"task {task.name}: training twice with one seed gave two results; every source of chance must be"
        " seeded from the job, and nothing may be left over from the job before",
    )
    require(
        first[0].steps == other[0].steps,
        f"task {task.name}: another seed trained for another number of steps; the recipe is fixed",
    )


class _Bench:
    """Runs single jobs of a task."""

    def __init__(self, task: Task, assets: Path, folder: Path) -> None:
        self._task = task
        self._assets = assets
        self._folder = folder
        pool_rows = task.pool_rows(assets)
        chosen = random.Random(0).sample(range(pool_rows), min(pool_rows, task.config.submission.rows_max))
        rules = task.config.submission
        self.selection = folder / rules.canonical_name
        selection.of_rows(chosen, rules.kind).write(self.selection)

    def open(self, engine: Engine) -> EngineSession:
        return engine.open(run_id="contract", log=self._folder / "workers.log", config=self._task.config)

    def train_and_score(self, session: EngineSession, seed: int) -> tuple[TrainResult, Items]:
        """What the training reports, timings apart, and the public items."""
        out = Path(tempfile.mkdtemp(dir=self._folder))
        recipe = self._task.config.recipe
        job = TrainJob(selection=self.selection, assets=self._assets, recipe=recipe, seed=seed, out=out)
        trained = session.call(self._task.worker("train"), "train", job, TrainResult, _Bounds(self._task))
        model = out / trained.model
        require(
            model.exists() and model.resolve().is_relative_to(out.resolve()),
            f"task {self._task.name}: the trainer names {trained.model!r} as its model,"
            " and left no such file in `out`",
        )
        require(trained.samples > 0, f"task {self._task.name}: the trainer says it saw no sample")
        return trained.model_copy(update={"timings": {}}), self.evaluate(session, model, "public")

    def evaluate(self, session: EngineSession, model: Path | None, split: Split) -> Items:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        out, said = folder / "items.jsonl", folder / "predictions.jsonl"
        config = self._task.config
        job = EvaluateJob(
            model=model,
            assets=self._assets,
            split=split,
            recipe=config.recipe,
            evaluation=config.evaluation,
            out=out,
            predictions=said,
        )
        spec = self._task.worker("evaluate")
        promised = session.call(spec, "evaluate", job, EvaluateResult, _Bounds(self._task))
        results = [ItemResult.model_validate_json(line) for line in out.read_text().splitlines()]
        require(
            len(results) == promised.items,
            f"task {self._task.name}: the evaluator promised {promised.items} items and wrote {len(results)}",
        )
        items = {(result.benchmark, result.item): result for result in results}
        require(len(items) == len(results), f"task {self._task.name}: an item of the {split} split is scored twice")
        if said.exists():
            self._check_predictions(said, split, results)
        return items

    def _check_predictions(self, said: Path, split: Split, results: list[ItemResult]) -> None:
        found = [(one.benchmark, one.item) for one in read_predictions(said)]
        require(
            found == [(result.benchmark, result.item) for result in results],
            f"task {self._task.name}: the {split} predictions are not of the items that were scored, in their order",
        )
        again = self._task.rescore(said, split, self._assets)
        require(
            again is None or list(again) == results,
            f"task {self._task.name}: `rescore` makes other {split} items of the predictions than the evaluator did",
        )

    def signal(self, session: EngineSession, name: str, rows: tuple[int, ...]) -> SignalResult:
        job = SignalJob(name=name, rows=rows, assets=self._assets, recipe=self._task.config.recipe)
        return session.call(self._task.worker("signal"), "signal", job, SignalResult, _Bounds(self._task))

    def lacks(self, signal: str) -> bool:
        """Whether these files do not allow the signal, as the task itself says."""
        return self._task.signal_missing(signal, self._assets) is not None

    def some_rows(self) -> tuple[int, ...]:
        last = self._task.pool_rows(self._assets) - 1
        return tuple(sorted({0, last // 3, last // 2, last}))


class _Bounds:
    """Progress that must lie in [0, 1] and say something."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, what: str, done: float) -> None:
        require(what.strip() and 0 <= done <= 1, f"task {self._task.name}: progress({what!r}, {done}) tells nothing")


def _check_benchmarks(task: Task, splits: dict[Split, Items]) -> None:
    whole, sealed_only = set(task.config.benchmarks), set(task.sealed_benchmarks())
    require(
        sealed_only < whole and task.aggregates().keys() <= whole,
        f"task {task.name}: sealed_benchmarks and aggregates must name benchmarks of the configuration, and one must"
        " stay public",
    )
    name = task.mean_name(task.config.benchmarks)
    require(
        bool(name.strip()) and name.isprintable(),
        f"task {task.name}: mean_name gives {name!r}; it must be a few words on one line",
    )
    for split, items in splits.items():
        found = {benchmark for benchmark, _ in items}
        wanted = whole - sealed_only if split == "public" else whole
        require(
            found == wanted,
            f"task {task.name}: the {split} split scores {sorted(found)}; it must score {sorted(wanted)}",
        )
    public, sealed = (splits[split] for split in SPLITS)
    shared = public.keys() & sealed.keys()
    require(not shared, f"task {task.name}: {len(shared)} items are in both splits, e.g. {sorted(shared)[:1]}")
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for split, items in splits.items():
        for result in items.values():
            groups[result.group].add(split)  # over all benchmarks: one image may come in two of them
    torn = sorted(group for group, found_in in groups.items() if len(found_in) > 1)
    require(
        not torn,
        f"task {task.name}: items of one group are in both splits, so feedback tells of sealed ones: {torn[:1]}",
    )
    base = [result.score for result in public.values() if result.score is not None]
    mean = math.fsum(base) / max(1, len(base))
    require(mean < 1.0, f"task {task.name}: the base model is right about everything; nothing is left to gain")


def _check_signals(task: Task, bench: _Bench, session: EngineSession) -> None:
    rows = bench.some_rows()
    for signal in task.signals():
        if bench.lacks(signal.name):
            continue
        values = bench.signal(session, signal.name, rows).values
        backwards = bench.signal(session, signal.name, rows[::-1]).values
        require(
            len(values) == len(rows) == len(backwards),
            f"task {task.name}: signal {signal.name} gives {len(values)} values for {len(rows)} rows",
        )
        require(
            values == backwards[::-1],
            f"task {task.name}: signal {signal.name} of a row depends on which rows are asked for beside it, or"
            " its values do not follow the order of the rows",
        )
        lengths = {len(value) for value in values if isinstance(value, tuple)}
        require(len(lengths) <= 1, f"task {task.name}: signal {signal.name} gives vectors of different lengths")
