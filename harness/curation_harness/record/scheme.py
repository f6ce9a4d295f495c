"""What of a task decides how items become scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from curation_harness.record.measures import Scores, Scoring
from curation_harness.record.models import RunSpec
from curation_harness.record.scores import aggregate, read_items
from curation_harness.record.sums import HALVES, Half
from curation_harness.record.tallies import Tallies, tally
from curation_plugins.api import Task
from curation_plugins.errors import PluginBroken
from curation_plugins.jobs import ItemResult


def item_files(half: Half) -> tuple[str, str]:
    """Names of a half's files: its item results, and what the model said to the items."""
    return f"items-{half}.jsonl", f"predictions-{half}.jsonl"


ITEM_FILES: Final = (*item_files("public"), *item_files("sealed"))


@dataclass(frozen=True)
class Scheme:
    """One task's."""

    benchmarks: tuple[str, ...]
    graded: frozenset[str] = frozenset()
    """Benchmarks whose scores are a judge's opinion."""
    worst: frozenset[str] = frozenset()
    """Benchmarks whose score is the lowest of their metrics, not their mean."""
    sealed_only: frozenset[str] = frozenset()
    """Benchmarks without public items."""

    @classmethod
    def of_record(cls, spec: RunSpec) -> Self | None:
        """As a run was scored, from its record alone; none: the record is of a version that did not note it."""
        kept = spec.scoring
        if kept is None:
            return None
        return cls(
            benchmarks=kept.benchmarks,
            graded=frozenset(kept.graded),
            worst=frozenset(kept.worst),
            sealed_only=frozenset(kept.sealed_only),
        )

    @classmethod
    def of(cls, task: Task) -> Scheme:
        """Raises:
        PluginBroken: the task names a benchmark that it has not, or leaves none public.
        """
        benchmarks, aggregates = task.config.benchmarks, task.aggregates()
        sealed_only = frozenset(task.sealed_benchmarks())
        strange = sorted((sealed_only | aggregates.keys()) - set(benchmarks))
        if strange or sealed_only == set(benchmarks):
            what = (
                f"speaks of benchmarks it has not: {', '.join(strange)}" if strange else "leaves no benchmark public"
            )
            raise PluginBroken(f"task {task.name} {what}", hint="See sealed_benchmarks and aggregates of its class.")
        return cls(
            benchmarks=benchmarks,
            graded=frozenset(task.graded()),
            worst=frozenset(name for name, how in aggregates.items() if how == "worst"),
            sealed_only=sealed_only,
        )

    def of_half(self, half: Half) -> tuple[str, ...]:
        """Benchmarks with items in a half."""
        return tuple(name for name in self.benchmarks if half == "sealed" or name not in self.sealed_only)

    def kept(self, mean_name: Callable[[Sequence[str]], str]) -> Scoring:
        """For a record.

        Args:
            mean_name: see ``Task.mean_name``.
        """
        return Scoring(
            benchmarks=self.benchmarks,
            graded=tuple(sorted(self.graded)),
            worst=tuple(sorted(self.worst)),
            sealed_only=tuple(sorted(self.sealed_only)),
            mean_of={half: mean_name(self.of_half(half)) for half in HALVES},
        )

    def read(self, folder: Path, half: Half) -> list[ItemResult]:
        """Read ``items-HALF.jsonl``.

        Raises:
            WorkerReplyInvalid: see ``read_items``.
        """
        return read_items(folder / item_files(half)[0], self.of_half(half))

    def scores(self, items: Sequence[ItemResult]) -> Scores:
        """See ``aggregate``."""
        return aggregate(items, self.graded, self.worst)

    def tally(self, items: Sequence[ItemResult]) -> Tallies:
        return tally(items, self.worst)
