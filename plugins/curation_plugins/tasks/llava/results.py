"""From answers to the lines of an item file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from curation_plugins.tasks.llava.benchmarks.benchmark import Benchmark
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Judge
from curation_plugins.tasks.llava.benchmarks.registry import benchmark
from curation_plugins.tasks.llava.benchmarks.score import ItemScore, Unit


def results(items: Sequence[BenchmarkItem], answers: Sequence[str], judge: Judge | None) -> list[dict[str, Any]]:
    """One line an item (`curation_plugins.jobs.ItemResult`), in the order of the items.

    What a benchmark's metrics count stands with the first item of its group and benchmark; the other items of the
    group count nothing beside it.

    Raises:
        JudgeUnavailable: a judge is needed and does not answer.
        AnswersIncomplete: copies of a question are missing.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        places[item.benchmark].append(place)
    lines: list[dict[str, Any]] = [{} for _ in items]
    for name, of_name in places.items():
        scorer = benchmark(name, judge)
        asked = [items[place] for place in of_name]
        scores = scorer.score_all(asked, [answers[place] for place in of_name])
        units = _units(scorer, asked, scores)
        for place, score, counted in zip(of_name, scores, units, strict=True):
            lines[place] = {
                "benchmark": name,
                "item": items[place].item,
                "group": items[place].group,
                "score": score.value,
                "unscored": score.unscored,
                "reason": score.reason,
                "prediction": answers[place],
                **({} if counted is None else {"units": counted}),
            }
    return lines


def _units(
    scorer: Benchmark, items: Sequence[BenchmarkItem], scores: Sequence[ItemScore]
) -> list[list[dict[str, Any]] | None]:
    """The units that stand with each item; none where an item's score is counted as it is."""
    if type(scorer).units is Benchmark.units:
        return [None] * len(items)
    by_group: dict[str, list[Unit]] = defaultdict(list)
    for unit in scorer.units(list(zip(items, scores, strict=True))):
        by_group[unit.group].append(unit)
    return [[_line(unit) for unit in by_group.pop(item.group, [])] for item in items]


def _line(unit: Unit) -> dict[str, Any]:
    return unit.model_dump(exclude={"group"})
