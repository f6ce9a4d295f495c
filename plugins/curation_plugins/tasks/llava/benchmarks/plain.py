"""Benchmarks scored by one rule on answer and gold: those of `llava-tiny`, through the same classes as the eight."""

from __future__ import annotations

from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from curation_plugins.tasks.llava.scoring import SCORERS

PLAIN = SCORERS
"""Benchmark name to rule."""


class PlainBenchmark(Benchmark):
    """Accuracy by one rule; every answer can be scored. Items come from files of made content, not from a TSV."""

    columns = ("question", "answer")
    max_tokens = 8
    md5 = ""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._rule = PLAIN[name]

    def score(self, item: BenchmarkItem, prediction: str) -> ItemScore:
        return ItemScore.of(self._rule(prediction, item.answer))
