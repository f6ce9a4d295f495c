"""The plugin's side of the LLaVA tasks. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from curation_plugins import paths
from curation_plugins.api import Needs, Progress, RowCard, SignalValue, Task
from curation_plugins.config import AuditCounts, Published, TaskConfig, load, load_published, section
from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.hub.wanted import Want
from curation_plugins.jobs import ItemResult, Role, Split, WorkerSpec
from curation_plugins.tasks.llava import estimate, layout, offered
from curation_plugins.tasks.llava.audit.findings import read_summary
from curation_plugins.tasks.llava.benchmarks.names import GRADED
from curation_plugins.tasks.llava.brief import write_brief
from curation_plugins.tasks.llava.evaluation import Evaluation
from curation_plugins.tasks.llava.making import make_assets
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.rows import IMAGE_MARK, RowFile
from curation_plugins.tasks.llava.scoring import SCORERS
from curation_plugins.tasks.llava.settings import read_assets
from curation_plugins.tasks.llava.shipping import write_measured
from curation_plugins.tasks.llava.sources.registry import benchmark_files
from curation_plugins.tasks.llava.sources.settings import FetchedSettings
from curation_plugins.tasks.llava.tiny.settings import TinySettings
from curation_sandbox.protocol import SignalInfo

if TYPE_CHECKING:
    import numpy as np

ASSETS_VERSION = 3
"""Counted up when the code that makes the assets changes what it makes."""

_IDS: TypeAdapter[list[int]] = TypeAdapter(list[int])

_ENTRIES: dict[Role, str] = {
    "train": "curation_plugins.tasks.llava.train:Trainer",
    "evaluate": "curation_plugins.tasks.llava.evaluate:Evaluator",
    "signal": "curation_plugins.tasks.llava.signals:Signaller",
}


_DECISIVE = ("submission", "benchmarks", "assets", "recipe", "evaluation")
"""What of the configuration a published score is about."""


class LlavaTask(Task):
    """Rows for visual instruction tuning of a LLaVA model; the numbers say which size."""

    def __init__(self, config: TaskConfig) -> None:
        self.recipe = read_recipe(config.recipe)
        # all of its values, so that every digest and record is of what is trained and not of a name
        super().__init__(config.model_copy(update={"recipe": self.recipe.model_dump(mode="json")}))
        self.evaluation = section(config, "evaluation", Evaluation)
        self.settings = read_assets(config.assets, config.benchmarks)
        if isinstance(self.settings, FetchedSettings) and self.settings.model_entry().family != self.recipe.family:
            raise ConfigInvalid(
                f"recipe: it is for models of family {self.recipe.family}, and the task's is"
                f" {self.settings.model_entry().family}",
                hint="docs/recipes.md lists the recipes of each family.",
            )
        rules = SCORERS if isinstance(self.settings, TinySettings) else benchmark_files()
        unknown = [name for name in config.benchmarks if name not in rules]
        if unknown:
            raise ConfigInvalid(
                f"benchmarks: no scoring rule for {unknown[0]!r}", hint=f"There are rules for: {', '.join(rules)}."
            )

    def brief(self) -> str:
        return write_brief(self.config, self.settings, self.recipe)

    def assets_key(self) -> str:
        made_from: dict[str, object] = {"version": ASSETS_VERSION, **self.settings.model_dump(mode="json")}
        if isinstance(self.settings, FetchedSettings):
            # what a name stands for, too: an entry that is changed makes other files
            made_from["wants"] = [want.key for want in self.downloads()]
            made_from["rows"] = self.settings.pool_entry().model_dump(mode="json")
        else:
            del made_from["kind"]
        text = json.dumps(made_from, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def downloads(self) -> tuple[Want, ...]:
        return self.settings.wants(self.config.benchmarks) if isinstance(self.settings, FetchedSettings) else ()

    def prepare(self, folder: Path, progress: Progress) -> None:
        make_assets(folder, self.settings, self.config.benchmarks, progress)

    def checkpoint_bytes(self, assets: Path) -> int | None:
        return estimate.checkpoint_bytes(self.settings, self.recipe)

    def applied_recipe(self) -> Mapping[str, JsonValue]:
        return self.recipe.applied()

    def needs(self) -> Needs | None:
        return estimate.needs(self.settings, self.recipe, self.config)

    def pool_rows(self, assets: Path) -> int:
        return len(_row_file(layout.rows_file(assets)))

    def excluded(self, assets: Path) -> frozenset[int]:
        return _excluded(layout.excluded_file(assets))

    def audited(self, assets: Path) -> AuditCounts | None:
        return read_summary(layout.audit(assets)).counts

    def scoring_identity(self) -> dict[str, JsonValue]:
        return self.evaluation.identity()

    def rescore(self, predictions: Path, split: Split, assets: Path) -> Iterator[ItemResult]:
        from curation_plugins.tasks.llava.items import read_items
        from curation_plugins.tasks.llava.results import rescore  # the benchmarks' rules: a launch does without

        items = read_items(layout.benchmarks(assets), split)
        return rescore(predictions, items, judged=self.evaluation.judge is not None)

    def require_ready(self) -> None:
        self.evaluation.require_ready(self.graded())

    def graded(self) -> tuple[str, ...]:
        return tuple(name for name in self.config.benchmarks if name in GRADED)

    def published(self) -> tuple[Published, ...]:
        """Of this task as it ships: other rows, another recipe or other benchmarks make it another one."""
        shipped = self.with_config(load(paths.TASKS / self.name / "task.yaml")).config
        same = all(getattr(self.config, key) == getattr(shipped, key) for key in _DECISIVE)
        return load_published(paths.TASKS / self.name / "published.yaml") if same else ()

    def worker(self, role: Role) -> WorkerSpec:
        scoring = self._scoring_worker() if role == "evaluate" else {}
        return WorkerSpec(
            entry=_ENTRIES[role],
            **scoring,
            environment={
                "OMP_NUM_THREADS": str(self.recipe.threads),
                "TOKENIZERS_PARALLELISM": "false",
                "HF_HUB_OFFLINE": "1",
                "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it CUDA's sums are not repeatable
            },
        )

    def _scoring_worker(self) -> dict[str, Any]:
        """Which Python answers, and the judge's key by its name."""
        settings, key = self.evaluation, None
        if settings.judge is not None:
            key = settings.judge.key_variable
        found: dict[str, Any] = {"inherited": (key,) if key else ()}
        if settings.interpreter is not None:
            found |= {"interpreter": settings.interpreter, "python_path": paths.checkout()}
        return found

    def signals(self) -> tuple[SignalInfo, ...]:
        return offered.SIGNALS

    def shipped_signals(self) -> Mapping[str, Want | None]:
        # llava-tiny's are made with its files
        return offered.shipped() if isinstance(self.settings, FetchedSettings) else {}

    def write_signals(self, assets: Path, measured: Mapping[str, Iterable[SignalValue]], folder: Path) -> None:
        write_measured(assets, measured, folder)

    def signal_missing(self, name: str, assets: Path) -> str | None:
        return offered.missing(name, assets, self.name)

    def sources(self, assets: Path) -> Sequence[str] | None:
        return _sources(layout.rows_file(assets))

    def metadata(self, assets: Path) -> Mapping[str, np.ndarray]:
        from curation_plugins.tasks.llava.metadata import read_metadata  # NumPy: read by gates only

        return read_metadata(layout.rows_file(assets))

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
def _excluded(path: Path) -> frozenset[int]:
    """Raises:
    AssetsInvalid: the file does not list ids.
    """
    try:
        return frozenset(_IDS.validate_json(path.read_bytes())) if path.exists() else frozenset()
    except ValidationError:
        raise AssetsInvalid(f"{path}: not a list of row ids", hint="Remove the assets folder.") from None


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
