"""``evaluation`` of a ``task.yaml`` of this family: on what, and how, trained models are scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.datacomp.evaluation.sets import look_up


class Evaluation(Frozen):
    """How models are scored. Sums are in 32-bit floats, without mixed precision."""

    benchmarks: tuple[str, ...] = ()
    """The task's ``benchmarks``; filled in by the task."""
    batch: int = Field(default=64, gt=0)
    """Images, or prompts, of one pass through the model."""
    public_share: float = Field(default=0.5, gt=0, lt=1)
    """About this share of a set's items is public: what an agent hears of. The rest is sealed."""
    sealed_sets: tuple[str, ...] = ()
    """Benchmarks all of whose items are sealed."""
    extra: tuple[str, ...] = ()
    """Sets without a main metric (FairFace, UTKFace) that are to be looked at, too; they are in the record's
    ``eval_results.jsonl`` only."""
    threads: int = Field(default=1, gt=0)
    """Threads that decode images."""
    decoded: Path | None = None
    """Folder in which decoded images and tokens are kept between runs; none: only as long as the worker lives."""
    decoded_bytes: int = Field(default=4 * 2**30, ge=0)
    """So much room decoded images may take; sets that do not fit are decoded anew for each model."""

    def of(self, benchmarks: Sequence[str]) -> Self:
        """These settings for a task with these benchmarks.

        Raises:
            ConfigInvalid: a name is unknown or comes twice, a set has no metric, or nothing would be public.
        """
        twice = [key for key, count in Counter((*benchmarks, *self.extra)).items() if count > 1]
        if twice:
            raise ConfigInvalid(f"benchmarks: {twice[0]} is named twice", hint="Name each set once.")
        for key in benchmarks:
            if look_up(key).metric is None:
                raise ConfigInvalid(
                    f"benchmarks: {key} has no main metric and counts in no mean",
                    hint=f"--set evaluation.extra=[{key}] looks at it beside the benchmarks.",
                )
        for key in self.extra:
            if look_up(key).metric is not None:
                raise ConfigInvalid(f"evaluation.extra: {key} has a metric", hint="Name it in benchmarks.")
        strange = [key for key in self.sealed_sets if key not in benchmarks]
        if strange:
            raise ConfigInvalid(
                f"evaluation.sealed_sets: {strange[0]!r} is none of the task's benchmarks",
                hint=f"They are: {', '.join(benchmarks)}.",
            )
        if set(benchmarks) <= set(self.sealed_sets):
            raise ConfigInvalid(
                "evaluation.sealed_sets: every benchmark is sealed, and an agent would hear nothing",
                hint="Leave at least one out.",
            )
        return self.model_copy(update={"benchmarks": tuple(benchmarks)})

    def identity(self) -> dict[str, Any]:
        """What decides over scores; the rest decides over time and room."""
        return self.model_dump(include={"benchmarks", "public_share", "sealed_sets"}, mode="json")
