"""The plugin's side of the LLaVA tasks. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from curation_plugins import paths
from curation_plugins.api import Progress, RowCard, Task
from curation_plugins.config import TaskConfig
from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.jobs import Role, WorkerSpec
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.making import make_assets
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.rows import IMAGE_MARK, RowFile
from curation_plugins.tasks.llava.scoring import SCORERS
from curation_plugins.tasks.llava.tiny.settings import read_settings
from curation_sandbox.protocol import SignalInfo

ASSETS_VERSION = 1
"""Counted up when the code that makes the assets changes what it makes."""

_ENTRIES: dict[Role, str] = {
    "train": "curation_plugins.tasks.llava.train:Trainer",
    "evaluate": "curation_plugins.tasks.llava.evaluate:Evaluator",
    "signal": "curation_plugins.tasks.llava.signals:Signaller",
}

_SIGNALS = (
    SignalInfo(
        name="answer-loss",
        description="mean loss of the answer's tokens and the end token under the base model",
        unit="nats per answer token",
    ),
    SignalInfo(
        name="el2n",
        description="mean length of (softmax - one-hot) over the answer's tokens under the base model",
        unit="number from 0 to 1.42",
    ),
    SignalInfo(
        name="embedding",
        description="last hidden state of the base model, mean over the row's image and text positions",
        unit="vector of the model's width",
    ),
)


class LlavaTask(Task):
    """Rows for visual instruction tuning of a LLaVA model; the numbers say which size."""

    def __init__(self, config: TaskConfig) -> None:
        super().__init__(config)
        self.recipe = read_recipe(config.recipe)
        self.settings = read_settings(config.assets)
        unknown = [name for name in config.benchmarks if name not in SCORERS]
        if unknown:
            raise ConfigInvalid(
                f"benchmarks: no scoring rule for {unknown[0]!r}",
                hint=f"There are rules for: {', '.join(SCORERS)}.",
            )

    def brief(self) -> str:
        return (paths.TASKS / self.name / "brief.md").read_text(encoding="utf-8")

    def assets_key(self) -> str:
        made_from = {"version": ASSETS_VERSION, **self.settings.model_dump(mode="json")}
        text = json.dumps(made_from, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def prepare(self, folder: Path, progress: Progress) -> None:
        make_assets(folder, self.settings, progress)

    def pool_rows(self, assets: Path) -> int:
        return len(_row_file(layout.rows_file(assets)))

    def worker(self, role: Role) -> WorkerSpec:
        return WorkerSpec(
            entry=_ENTRIES[role],
            environment={
                "OMP_NUM_THREADS": str(self.recipe.threads),
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
                "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it CUDA's sums are not repeatable
            },
        )

    def signals(self) -> tuple[SignalInfo, ...]:
        return _SIGNALS

    def sources(self, assets: Path) -> Sequence[str] | None:
        return _sources(layout.rows_file(assets))

    def truth(self, assets: Path) -> Sequence[bool] | None:
        path = layout.truth_file(assets)
        return _truth(path) if path.exists() else None

    def references_file(self) -> Path | None:
        return paths.TASKS / self.name / "references.json"

    def row_card(self, row: int, assets: Path) -> RowCard | None:
        entry = _row_file(layout.rows_file(assets))[row]
        image = layout.pool(assets) / entry.image if entry.image else None
        return RowCard(
            row=row,
            turns=tuple((turn.speaker, turn.value.replace(IMAGE_MARK, "").strip()) for turn in entry.conversations),
            image=image.read_bytes() if image else None,
            source=entry.source,
        )


@lru_cache(maxsize=2)
def _row_file(path: Path) -> RowFile:
    return RowFile(path)


@lru_cache(maxsize=2)
def _sources(path: Path) -> tuple[str, ...]:
    return tuple(row.source for row in _row_file(path))


@lru_cache(maxsize=2)
def _truth(path: Path) -> tuple[bool, ...]:
    """Whether each row is good.

    Raises:
        AssetsInvalid: the file does not list the rows in order.
    """
    facts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if [fact["row"] for fact in facts] != list(range(len(facts))):
        raise AssetsInvalid(f"{path}: rows are not in order", hint="Remove the assets folder.")
    return tuple(fact["clean"] is True for fact in facts)
