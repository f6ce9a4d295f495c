"""What an item's answer is worth, and how items make a benchmark's score."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fault = Literal["answer", "judge"]
"""Why there is no number: nothing could be read from the model's answer, or from the judge's reply about it."""

Reading = Literal["standard", "as_wrong", "left_out"]
"""How unscored items enter an aggregate.

``standard``: as wrong where the answer is at fault (what public tables do, and what saying nothing readable must not
beat), left out where the judge is. ``as_wrong``: all as wrong. ``left_out``: none counted at all.
"""

READINGS: tuple[Reading, ...] = ("standard", "as_wrong", "left_out")


class Frozen(BaseModel):
    """Base of the package's data types."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ItemScore(Frozen):
    """A number in [0, 1], or the reason why there is none; never both."""

    value: float | None = Field(default=None, ge=0, le=1)
    """Share of the item that is right."""
    unscored: Fault | None = None
    """Whose fault it is that there is no value."""
    reason: str = ""
    """Why there is no value, in a few words."""
    parts: Mapping[str, float | str] = {}
    """What the value was made from: the option read, the judge's grades."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.value is None) == (self.unscored is None):
            raise ValueError("an item has either a value or a reason why it has none")
        return self

    @classmethod
    def of(cls, value: float, **parts: float | str) -> ItemScore:
        return cls(value=float(value), parts=parts)

    @classmethod
    def none(cls, fault: Fault, reason: str, **parts: float | str) -> ItemScore:
        return cls(unscored=fault, reason=reason, parts=parts)


class Unit(Frozen):
    """What a metric counts once: an item, a question with all its copies, a figure with all its questions."""

    metric: str
    group: str
    """The split group of its items; units of one group are resampled together."""
    value: float | None
    """Numerator; None if unscored."""
    unscored: Fault | None = None
    base: float | None = 1.0
    """Denominator. None where it is not known because the unit is unscored: the mean of the known ones is taken."""


class BenchmarkScore(Frozen):
    """A benchmark's score, a fraction: 0.371 is 37.1 in public tables (OCRBench: 371 of 1000)."""

    benchmark: str
    value: float | None
    """Standard reading; None if nothing could be scored."""
    as_wrong: float | None
    left_out: float | None
    items: int
    """Answers asked for; circular copies count one each."""
    unscored_answer: int
    """Items without a number because of the answer."""
    unscored_judge: int
    """Items without a number because of the judge's reply."""
    judged: bool
    """Whether an external judge had a say."""
    metrics: Mapping[str, float | None] = {}
    """The metrics whose mean the score is, standard reading."""
    breakdown: Mapping[str, float | None] = {}
    """Scores of the benchmark's own categories, standard reading."""


Tallies = dict[str, dict[str, tuple[float, float]]]
"""Group -> metric -> (sum of numerators, sum of denominators)."""


def tally(units: Iterable[Unit], reading: Reading = "standard") -> Tallies:
    """Sums by group, so that resampling groups needs nothing but additions."""
    known = list(units)
    bases: dict[str, list[float]] = defaultdict(list)
    for unit in known:
        if unit.base is not None:
            bases[unit.metric].append(unit.base)
    sums: Tallies = defaultdict(dict)
    for unit in known:
        if unit.value is None and not _counts_as_wrong(unit.unscored, reading):
            continue
        base = unit.base
        if base is None:
            if not bases[unit.metric]:
                continue
            base = math.fsum(bases[unit.metric]) / len(bases[unit.metric])
        above, below = sums[unit.group].get(unit.metric, (0.0, 0.0))
        sums[unit.group][unit.metric] = (above + (unit.value or 0.0), below + base)
    return dict(sums)


def combine(tallies: Iterable[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Metric -> sum of numerators over sum of denominators; a group may come more than once (bootstrap)."""
    above: dict[str, list[float]] = defaultdict(list)
    below: dict[str, list[float]] = defaultdict(list)
    for group in tallies:
        for metric, (numerator, denominator) in group.items():
            above[metric].append(numerator)
            below[metric].append(denominator)
    totals = {metric: math.fsum(parts) for metric, parts in below.items()}
    return {metric: math.fsum(above[metric]) / total for metric, total in totals.items() if total > 0}


def mean_of_metrics(metrics: Mapping[str, float], names: Sequence[str]) -> float | None:
    """The unweighted mean over `names`; None if one of them is missing."""
    if not names or any(name not in metrics for name in names):
        return None
    return math.fsum(metrics[name] for name in names) / len(names)


def _counts_as_wrong(fault: Fault | None, reading: Reading) -> bool:
    return reading == "as_wrong" or (reading == "standard" and fault == "answer")


class Headline(Frozen):
    """The mean of the benchmarks' scores, with and without those a judge grades."""

    with_judge: float | None
    """Over all benchmarks; None if one has no score."""
    without_judge: float | None
    """Over those whose scores are not a judge's opinion (`Benchmark.judge_role` is not ``grades``)."""
    missing: tuple[str, ...] = ()
    """Benchmarks without a score."""


def headline(scores: Sequence[BenchmarkScore], graded: Iterable[str], reading: Reading = "standard") -> Headline:
    """Unweighted means over benchmarks (the mean of eight of arXiv 2606.04261).

    Args:
        graded: names of the benchmarks whose scores are a judge's opinion.
    """
    opinions = set(graded)
    values = {score.benchmark: _read(score, reading) for score in scores}
    return Headline(
        with_judge=_mean(list(values.values())),
        without_judge=_mean([value for name, value in values.items() if name not in opinions]),
        missing=tuple(name for name, value in values.items() if value is None),
    )


def _read(score: BenchmarkScore, reading: Reading) -> float | None:
    return {"standard": score.value, "as_wrong": score.as_wrong, "left_out": score.left_out}[reading]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
