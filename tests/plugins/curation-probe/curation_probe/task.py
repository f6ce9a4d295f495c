"""The probe as a task plugin: everything a stranger has to write, and nothing more."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from curation_plugins.api import Progress, RowCard, SignalValue, Task
from curation_plugins.config import Frozen, TaskConfig, section
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.hub.wanted import Want
from curation_plugins.jobs import ItemResult, Role, Split, WorkerSpec, read_predictions
from curation_probe import experiment
from curation_probe.worker.probe_faults import FAULTS
from curation_sandbox.protocol import SignalInfo

_HERE: Final = Path(__file__).resolve().parent
WORKER: Final = _HERE / "worker"
TASKS: Final = _HERE / "tasks"


class ProbeAssets(Frozen):
    rows: int = Field(default=400, ge=20)
    """Rows of the pool."""
    items: int = Field(default=120, ge=4)
    """Items of each benchmark, both splits together."""
    seed: int = 0


class ProbeRecipe(Frozen):
    epochs: int = Field(default=6, ge=1)
    lr: float = Field(default=0.3, gt=0)
    init_noise: float = Field(default=0.05, ge=0)
    """Standard deviation of what the seed adds to the base model."""
    delay_seconds: float = Field(default=0.0, ge=0)
    """Makes every job this much slower."""
    fault: Literal[tuple(sorted(FAULTS))] | None = None  # type: ignore[valid-type]
    """What goes wrong; ``worker/probe_faults.py`` says how."""
    fault_role: Role = "train"
    """Whose jobs the fault befalls."""
    fault_row: int | None = None
    """Only trainings on selections with this row; none: all jobs."""
    interpreter: str | None = None
    """Python that trains and scores; ``outside`` is the one the harness's own environment was made from."""


class ProbeTask(Task):
    def __init__(self, config: TaskConfig) -> None:
        self.assets = section(config, "assets", ProbeAssets)
        self.recipe = section(config, "recipe", ProbeRecipe)
        # with every default written out: workers get the recipe as it stands in the configuration
        resolved = {"assets": self.assets.model_dump(), "recipe": self.recipe.model_dump()}
        super().__init__(config.model_copy(update=resolved))

    def brief(self) -> str:
        return (TASKS / "probe" / "brief.md").read_text()

    def assets_key(self) -> str:
        made_from = json.dumps([experiment.VERSION, self.assets.model_dump()], sort_keys=True)
        return hashlib.sha256(made_from.encode()).hexdigest()[:12]

    def prepare(self, folder: Path, progress: Progress) -> None:
        experiment.write(folder, rows=self.assets.rows, items=self.assets.items, seed=self.assets.seed)
        progress("made the pool", 1.0)

    def pool_rows(self, assets: Path) -> int:
        return self.assets.rows

    def worker(self, role: Role) -> WorkerSpec:
        named = self.recipe.interpreter
        outside = getattr(sys, "_base_executable", sys.executable)
        interpreter = Path(outside if named == "outside" else named) if named else None
        return WorkerSpec(entry="probe_worker:ProbeWorker", interpreter=interpreter, python_path=(WORKER,))

    def signals(self) -> tuple[SignalInfo, ...]:
        return (
            SignalInfo(name="residual", description="loss on the row", unit="nats", of_attempts=True),
            SignalInfo(
                name="vector", description="projection that keeps distances", unit="vector of 4 floats", rows_max=600
            ),
        )

    def shipped_signals(self) -> Mapping[str, Want | None]:
        return {"residual": None}

    def write_signals(self, assets: Path, measured: Mapping[str, Iterable[SignalValue]], folder: Path) -> None:
        lines = [f"{row},{value}" for row, value in enumerate(measured["residual"])]
        (folder / "signals.csv").write_text("row,residual\n" + "".join(f"{line}\n" for line in lines))

    def sources(self, assets: Path) -> Sequence[str]:
        return [row["source"] for row in self._rows(assets)]

    def truth(self, assets: Path) -> Sequence[bool]:
        truth: list[bool] = json.loads((assets / "truth.json").read_text())
        return truth

    def rescore(self, predictions: Path, split: Split, assets: Path) -> Iterator[ItemResult]:
        """From the probabilities that the model gave."""
        with (assets / "items.jsonl").open() as lines:
            known = [item for item in map(json.loads, lines) if item["split"] == split]
        said = list(read_predictions(predictions))
        if [(one.benchmark, one.item) for one in said] != [(item["benchmark"], item["item"]) for item in known]:
            raise WorkerReplyInvalid(f"{predictions.name}: the predictions are not of the {split} items")
        for one, item in zip(said, known, strict=True):
            if not isinstance(one.answer, float):
                raise WorkerReplyInvalid(f"{predictions.name}: {one.answer!r} is no probability")
            prediction = int(one.answer > 0.5)
            yield ItemResult(
                benchmark=item["benchmark"],
                item=item["item"],
                group=item["group"],
                score=float(prediction == item["y"]),
                prediction=str(prediction),
            )

    def row_card(self, row: int, assets: Path) -> RowCard:
        entry = self._rows(assets)[row]
        numbers = ", ".join(f"{value:g}" for value in entry["x"])
        turns = (("x", numbers), ("y", str(entry["y"])))
        return RowCard(row=row, turns=turns, source=entry["source"])

    def _rows(self, assets: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (assets / "pool" / "rows.jsonl").read_text().splitlines()]
