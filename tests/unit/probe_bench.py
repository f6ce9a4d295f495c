"""The probe task's real workers, for tests: train, evaluate and ask for signals without a run around them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from curation_plugins import assets as task_assets
from curation_plugins import selection
from curation_plugins.api import EngineSession, Task
from curation_plugins.config import load, override
from curation_plugins.engines.local import LocalEngine
from curation_plugins.engines.slots import Slot
from curation_plugins.jobs import (
    EvaluateJob,
    EvaluateResult,
    SignalJob,
    SignalResult,
    TrainJob,
    TrainResult,
)
from curation_probe.task import TASKS, ProbeTask

ROWS = (3, 1, 4, 15, 92, 65, 35, 89, 79, 32)


def quiet(what: str, done: float) -> None:
    """Progress that nobody reads."""


@dataclass
class ProbeBench:
    folder: Path
    settings: Sequence[str] = ()
    """``--set`` overrides."""
    slots: Sequence[Slot] = (Slot("cpu-0", 1),)
    events: list[tuple[str, Mapping[str, JsonValue]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = override(load(TASKS / "probe" / "task.yaml"), self.settings)
        self.task: Task = ProbeTask(config)
        self.assets = task_assets.ensure(self.folder / "cache", self.task, quiet)
        self.log = self.folder / "workers.log"
        self._numbers = itertools.count()

    def open(self) -> EngineSession:
        engine = LocalEngine(self.slots, self.folder / "slots")
        return engine.open(
            run_id="bench", log=self.log, config=self.task.config, on_event=lambda *e: self.events.append(e)
        )

    def named(self, name: str) -> list[Mapping[str, JsonValue]]:
        return [details for kind, details in self.events if kind == name]

    def train_job(self, seed: int = 0, rows: Sequence[int] = ROWS) -> TrainJob:
        number = next(self._numbers)
        chosen = self.folder / f"selection-{number}.jsonl"
        chosen.write_bytes(selection.of_rows(list(rows)).canonical())
        out = self.folder / f"model-{number}"
        out.mkdir()
        recipe = self.task.config.recipe
        return TrainJob(selection=chosen, assets=self.assets, recipe=recipe, seed=seed, out=out)

    def train(self, session: EngineSession, seed: int = 0) -> tuple[TrainJob, TrainResult]:
        job = self.train_job(seed)
        return job, session.call(self.task.worker("train"), "train", job, TrainResult, quiet)

    def evaluate_job(self) -> EvaluateJob:
        out = self.folder / f"items-{next(self._numbers)}.jsonl"
        return EvaluateJob(model=None, assets=self.assets, split="public", recipe=self.task.config.recipe, out=out)

    def evaluate(self, session: EngineSession) -> tuple[EvaluateJob, EvaluateResult]:
        job = self.evaluate_job()
        return job, session.call(self.task.worker("evaluate"), "evaluate", job, EvaluateResult, quiet)

    def signal(self, session: EngineSession, name: str = "residual") -> SignalResult:
        job = SignalJob(name=name, rows=ROWS, assets=self.assets, recipe=self.task.config.recipe)
        return session.call(self.task.worker("signal"), "signal", job, SignalResult, quiet)
