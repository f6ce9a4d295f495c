"""What of a task decides how items become scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curation_harness.record.measures import Scores
from curation_harness.record.scores import aggregate, read_items
from curation_harness.record.sums import Half
from curation_harness.record.tallies import Tallies, tally
from curation_plugins.api import Task
from curation_plugins.errors import PluginBroken
from curation_plugins.jobs import ItemResult


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

    def read(self, folder: Path, half: Half) -> list[ItemResult]:
        """Read ``items-HALF.jsonl``.

        Raises:
            WorkerReplyInvalid: see ``read_items``.
        """
        return read_items(folder / f"items-{half}.jsonl", self.of_half(half))

    def scores(self, items: Sequence[ItemResult]) -> Scores:
        """See ``aggregate``."""
        return aggregate(items, self.graded, self.worst)

    def tally(self, items: Sequence[ItemResult]) -> Tallies:
        return tally(items, self.worst)
