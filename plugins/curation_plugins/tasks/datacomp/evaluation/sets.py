"""The evaluation sets there are, read from the YAML files beside this one, and the means over them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, Self

import yaml
from pydantic import Field, TypeAdapter, model_validator

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid
from curation_plugins.hub.wanted import HubSource
from curation_plugins.jobs import Aggregate

_HERE = Path(__file__).parent

Metric = Literal[
    "acc1",
    "mean_per_class_recall",
    "F1-macro_all",
    "acc_worst_region",
    "acc_wg",
    "acc_top5_wg",
    "mean_recall@1",
    "jaccard_score_10-12",
]
"""DataComp's names; ``metrics.py`` has their formulas."""

WORST: Final = frozenset({"acc_worst_region", "acc_wg", "acc_top5_wg"})
"""Metrics that are the worst of several groups' accuracies."""


class EvaluationSet(Frozen):
    """One set of items with which a model is scored without further training."""

    key: str
    """DataComp's key; the benchmark's name in a ``task.yaml``."""
    name: str
    """Its name, as DataComp's averages know it."""
    kind: Literal["classification", "retrieval", "association", "attributes"] = "classification"
    """What is asked: which class an image shows; which caption belongs to which image; which images a cue means
    (WinoGAViL); several properties of a face."""
    metric: Metric | None = "acc1"
    """The one number of a set; null: it has none and counts in no mean."""
    group: Literal["imagenet", "shifts", "vtab", "retrieval", "other"] = "other"
    """In which of DataComp's averages it stands, besides that over all."""
    datacomp: bool = True
    """Whether it is of DataComp's task list."""
    items: int | None = Field(default=None, gt=0)
    """How many there are; null: not known beforehand."""
    classes: int | None = Field(default=None, gt=0)
    """How many there are, for classification."""
    chance: float | None = Field(default=None, ge=0, le=1)
    """What blind guessing scores; null: unknown or next to nothing."""
    columns: tuple[str, ...] = ()
    """What the numbers of an item's ``.npy`` are, in order; empty: it has none."""
    worst_over: str | None = None
    """The column whose values are the groups of a metric that takes the worst one."""
    cluster: str | None = None
    """A column whose values join items that are not independent; null: only equal images are joined."""
    repo: str | None = None
    """Where the hub has it in the layout read here; null: nowhere that is known."""
    revision: str = "main"
    """Commit, or a branch that is looked up at the first fetch."""
    files: tuple[str, ...] = ("*.txt", "test/*")
    """Which of the repository's files are wanted."""
    bytes: int | None = Field(default=None, gt=0)
    """About what these take; null: not known."""

    @model_validator(mode="after")
    def _columns_are_there(self) -> Self:
        for column in (self.worst_over, self.cluster):
            if column is not None and column not in self.columns:
                raise ValueError(f"{self.key}: {column!r} is none of its columns")
        if (self.metric in WORST) != (self.worst_over is not None):
            raise ValueError(f"{self.key}: a metric over groups needs `worst_over`, and no other has it")
        return self

    @property
    def counted(self) -> bool:
        """Whether it is one of the 38 of DataComp's average."""
        return self.datacomp and self.metric is not None

    @property
    def folder(self) -> str:
        """Name of its folder: the one under which DataComp's ``download_evalsets.py`` puts it, so that such copies
        work as they are."""
        return f"wds_{self.key.removeprefix('fairness/').replace('/', '-')}_test"

    def source(self) -> HubSource | None:
        if self.repo is None:
            return None
        return HubSource(repo=self.repo, type="dataset", revision=self.revision, files=self.files, bytes=self.bytes)


@cache
def evaluation_sets() -> Mapping[str, EvaluationSet]:
    """Every known set by its key: DataComp's 40, and those made here."""
    found: dict[str, EvaluationSet] = {}
    for file in ("sets.yaml", "tiny.yaml"):
        path = _HERE / file
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        keyed = {key: {"key": key, **entry} for key, entry in entries.items()}
        found |= TypeAdapter(dict[str, EvaluationSet]).validate_python(keyed)
    return found


def look_up(key: str) -> EvaluationSet:
    """The set of that key.

    Raises:
        ConfigInvalid: with the nearest there is.
    """
    known = evaluation_sets()
    if key in known:
        return known[key]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigInvalid(f"no evaluation set is called {key!r}{meant}", hint=f"There are: {', '.join(known)}.")


def default_benchmarks() -> tuple[str, ...]:
    """Keys of DataComp's 38."""
    return tuple(key for key, entry in evaluation_sets().items() if entry.counted)


def aggregates(benchmarks: Iterable[str]) -> dict[str, Aggregate]:
    """How each set's metrics become its score: their mean, or the worst of them (``Task.aggregates``)."""
    return {key: "worst" if look_up(key).metric in WORST else "mean" for key in benchmarks}


def mean_name(benchmarks: Collection[str]) -> str:
    """What a mean over these sets may be called: DataComp's only with all of its 38, and nothing besides them."""
    chosen, whole = set(benchmarks), set(default_benchmarks())
    if chosen == whole:
        return "mean over DataComp's 38"
    if chosen < whole:
        return f"mean over {len(chosen)} of DataComp's 38 (partial)"
    return f"mean over {len(chosen)} set{'s' if len(chosen) > 1 else ''}"


_AVERAGES: Final = {
    "ImageNet": "imagenet",
    "ImageNet dist. shifts": "shifts",
    "VTAB": "vtab",
    "Retrieval": "retrieval",
}
"""DataComp's averages by part (``aggregate_scores.py``) and the groups here."""


def averages(scores: Mapping[str, float]) -> dict[str, float]:
    """DataComp's averages, by its names. One of whose sets any is missing is left out: it would be another number.

    Args:
        scores: main metric by the set's key.
    """
    members = {title: [key for key in default_benchmarks() if look_up(key).group == group]
               for title, group in _AVERAGES.items()}  # fmt: skip
    members["Average"] = list(default_benchmarks())
    return {
        title: math.fsum(scores[key] for key in keys) / len(keys)
        for title, keys in members.items()
        if all(key in scores for key in keys)
    }
