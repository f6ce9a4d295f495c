"""The plugin's side of the DataComp tasks. Imports nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import JsonValue

from curation_plugins import paths, references, uid_lists
from curation_plugins.api import Needs, Progress, RowCard, Task
from curation_plugins.config import AuditCounts, Published, SubmissionRules, TaskConfig, load, load_published, section
from curation_plugins.errors import ConfigInvalid
from curation_plugins.hub.wanted import Want
from curation_plugins.jobs import Aggregate, ItemResult, Role, Split, WorkerSpec
from curation_plugins.selection import Selection
from curation_plugins.tasks.datacomp import estimate, layout
from curation_plugins.tasks.datacomp.audit.findings import read_counts
from curation_plugins.tasks.datacomp.brief import write_brief
from curation_plugins.tasks.datacomp.evaluation.sets import aggregates, mean_name
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from curation_plugins.tasks.datacomp.making import make_assets
from curation_plugins.tasks.datacomp.manifest import read_manifest
from curation_plugins.tasks.datacomp.recipe import read_recipe
from curation_plugins.tasks.datacomp.settings import read_assets
from curation_plugins.tasks.datacomp.sources.settings import FetchedSettings

if TYPE_CHECKING:
    import numpy as np

ASSETS_VERSION: Final = 1
"""Counted up when the code that makes the assets changes what it makes."""
REFERENCE_SHARE: Final = 0.3
"""Of the pool, that references draw at random: the size of DataComp's best published filter (table 25)."""
SOURCES_MOST: Final = 200_000
"""Rows up to which a row's web domain is read as its source; larger pools have too many to tell anything."""

_DRAWN: Final = ("random", "random-fixed", "clean-only", "noisy-only")
_SCORES: Final = {"clip-b32": "clip_b32_similarity_score", "clip-l14": "clip_l14_similarity_score"}
"""Beginning of a reference's name → column of the metadata."""
_ENTRIES: Final[Mapping[Role, str]] = {
    "train": "curation_plugins.tasks.datacomp.train:Trainer",
    "evaluate": "curation_plugins.tasks.datacomp.evaluate:Evaluator",
}
_DECISIVE: Final = ("benchmarks", "recipe")
"""What of the configuration a published score is about, beside the pool."""


class DatacompTask(Task):
    """Image-text pairs for training a CLIP model from scratch; the numbers say which scale."""

    def __init__(self, config: TaskConfig) -> None:
        self.recipe = read_recipe(config.recipe)
        self.evaluation = section(config, "evaluation", Evaluation).of(config.benchmarks)
        self.settings = read_assets(config.assets, (*config.benchmarks, *self.evaluation.extra))
        # all of their values, so that every digest and record is of what is done and not of a name
        resolved = {"recipe": self.recipe, "evaluation": self.evaluation, "assets": self.settings}
        super().__init__(
            config.model_copy(update={key: value.model_dump(mode="json") for key, value in resolved.items()})
        )
        rules = config.submission
        if rules.kind != "uids":
            raise ConfigInvalid("submission.kind: this family takes uids", hint="Set it to uids.")
        if rules.samples_min < self.recipe.batch:
            raise ConfigInvalid(
                f"submission.samples_min: {rules.samples_min} pairs would be accepted, repeats counted, and one batch"
                f" of the recipe is {self.recipe.batch}",
                hint=f"Set it to at least {self.recipe.batch}: fewer pairs cannot be trained on.",
            )

    @property
    def sets(self) -> tuple[str, ...]:
        """Every evaluation set that is looked at."""
        return (*self.config.benchmarks, *self.evaluation.extra)

    def brief(self) -> str:
        return write_brief(self.config, self.settings, self.recipe)

    def assets_key(self) -> str:
        made_from: dict[str, object] = {"version": ASSETS_VERSION, **self.settings.model_dump(mode="json")}
        if isinstance(self.settings, FetchedSettings):
            # what a name stands for, too: an entry that is changed makes other files
            made_from["wants"] = [want.key for want in self.downloads()]
            made_from["sets"] = self.sets
        text = json.dumps(made_from, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def downloads(self) -> tuple[Want, ...]:
        return self.settings.wants(self.sets) if isinstance(self.settings, FetchedSettings) else ()

    def lacking(self) -> tuple[str, ...]:
        return self.settings.lacking(self.sets) if isinstance(self.settings, FetchedSettings) else ()

    def prepare(self, folder: Path, progress: Progress) -> None:
        make_assets(folder, self.settings, self.sets, progress)

    def checkpoint_bytes(self, assets: Path) -> int | None:
        return estimate.checkpoint_bytes(self.recipe)

    def applied_recipe(self) -> Mapping[str, JsonValue]:
        return self.recipe.applied()

    def needs(self) -> Needs | None:
        return estimate.needs(self.settings, self.recipe, self.config)

    def pool_rows(self, assets: Path) -> int:
        return _rows(layout.manifest(assets))

    def parse_submission(
        self, data: Path, assets: Path, rules: SubmissionRules | None = None, any_row: bool = False
    ) -> Selection:
        return uid_lists.parse(
            data,
            rules or self.config.submission,
            layout.uids(assets),
            layout.unreachable(assets),
            excluded=() if any_row else self.excluded(assets),
        )

    def write_submission(self, selection: Selection, path: Path, assets: Path) -> None:
        uid_lists.write_subset(path, uid_lists.of_selection(selection, layout.uids(assets)))

    def audited(self, assets: Path) -> AuditCounts | None:
        return read_counts(assets)

    def scoring_identity(self) -> Mapping[str, JsonValue]:
        return self.evaluation.identity()

    def aggregates(self) -> Mapping[str, Aggregate]:
        return aggregates(self.config.benchmarks)

    def mean_name(self, benchmarks: Sequence[str]) -> str:
        return mean_name(benchmarks)

    def rescore(self, predictions: Path, split: Split, assets: Path) -> Iterator[ItemResult]:
        from curation_plugins.tasks.datacomp.evaluation.rescoring import (
            rescore,
        )  # numpy, Pillow: a launch does without

        return rescore(predictions, split, self.evaluation, layout.evaluation(assets))

    def sealed_benchmarks(self) -> tuple[str, ...]:
        return self.evaluation.sealed_sets

    def published(self) -> tuple[Published, ...]:
        """Of this task as it ships: another pool, another recipe or other benchmarks make it another one."""
        shipped = self.with_config(load(paths.TASKS / self.name / "task.yaml"))
        same = all(getattr(self.config, key) == getattr(shipped.config, key) for key in _DECISIVE)
        if not same or _pool_name(self) != _pool_name(shipped):
            return ()
        return load_published(paths.TASKS / self.name / "published.yaml")

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

    def sources(self, assets: Path) -> np.ndarray | None:
        return _domains(assets) if self.pool_rows(assets) <= SOURCES_MOST else None

    def metadata(self, assets: Path) -> Mapping[str, np.ndarray]:
        import numpy as np

        lengths, sources = _lengths(assets), self.sources(assets)
        columns = {"length": lengths, "turns": np.ones(len(lengths), np.int8)}
        return columns if sources is None else {"source": sources, **columns}

    def truth(self, assets: Path) -> np.ndarray | None:
        import numpy as np

        path = layout.truth(assets)
        return np.load(path, allow_pickle=False) if path.exists() else None

    def reference_rows(self, name: str, seed: int, assets: Path) -> Sequence[int] | np.ndarray | None:
        """Those of ``curation_plugins.references``, drawing ``REFERENCE_SHARE`` of the pool; and ``clip-b32-30`` or
        ``clip-l14-30``: DataComp's filter by CLIP score, with any whole percentage."""
        rows = self.pool_rows(assets)
        arm, _, percent = name.rpartition("-")
        if arm in _SCORES and percent.isdigit():
            return _top(assets, _SCORES[arm], int(percent) / 100)
        most = self.config.submission.rows_max
        return references.rows(
            name,
            seed,
            pool_rows=rows,
            rows_max=min(most, round(REFERENCE_SHARE * rows)) if name in _DRAWN else most,
            sources=None,
            truth=self.truth(assets),
            excluded=self.excluded(assets),
        )

    def references_file(self) -> Path | None:
        return paths.TASKS / self.name / "references.json"

    def row_card(self, row: int, assets: Path) -> RowCard | None:
        from curation_plugins.tasks.datacomp.pool_index import PoolIndex

        with PoolIndex(assets) as pool:
            image, text = pool.image(row), pool.text(row)
        readable = image.startswith((b"\x89PNG", b"\xff\xd8"))  # the report shows no other
        return RowCard(row=row, turns=(("caption", text),), image=image if readable else None)


def _pool_name(task: DatacompTask) -> str | None:
    """The fetched pool, whoever brought its parts; none for one that is made here."""
    settings = task.settings
    return settings.pool_entry().model_dump_json() if isinstance(settings, FetchedSettings) else None


@lru_cache(maxsize=8)
def _rows(manifest: Path) -> int:
    return read_manifest(manifest).reachable


@lru_cache(maxsize=2)
def _lengths(assets: Path) -> np.ndarray:
    from curation_plugins.tasks.datacomp.pool_index import PoolIndex

    with PoolIndex(assets) as pool:
        return pool.text_lengths()


@lru_cache(maxsize=2)
def _domains(assets: Path) -> np.ndarray | None:
    """Domain of each row's address; none where the metadata has no addresses."""
    import numpy as np

    from curation_plugins.tasks.datacomp.pool_index import PoolIndex

    with PoolIndex(assets) as pool:
        if not pool.has_column("url"):
            return None
        return np.array([_domain(url) for url in pool.columns(("url",))["url"]])


def _domain(url: str | None) -> str:
    try:
        return urlsplit(url or "").hostname or "unknown"
    except ValueError:  # addresses of the web may be anything
        return "unknown"


def _top(assets: Path, column: str, share: float) -> np.ndarray:
    """Rows whose score is at least that of the n·share-th best: DataComp's rule (baselines/apply_filter.py
    L375-439); ties make them more."""
    import numpy as np

    from curation_plugins.tasks.datacomp.pool_index import PoolIndex

    with PoolIndex(assets) as pool:
        scores = pool.columns((column,))[column]
    place = min(int(len(scores) * share), len(scores) - 1)
    threshold = -np.sort(-scores)[place]
    return np.flatnonzero(scores >= threshold)
