"""Scores, differences and noise, as they stand in a record."""

from __future__ import annotations

from typing import Literal

from curation_harness.record.entry import Entry
from curation_sandbox.protocol import Score

Part = Literal["public", "sealed", "all"]
"""Which items: one half, or both as one set."""


class Scoring(Entry):
    """What of a task decides how items become scores, so that a record's scores can be made again without it."""

    benchmarks: tuple[str, ...]
    graded: tuple[str, ...]
    """Whose scores are a judge's opinion."""
    worst: tuple[str, ...]
    """Whose score is the lowest of their metrics, not their mean."""
    sealed_only: tuple[str, ...]
    """Without public items."""
    mean_of: dict[Literal["public", "sealed"], str]
    """What the mean over a half's benchmarks is called, e.g. that it is over some of a published table's only."""


class Unscored(Entry):
    """Items of one benchmark without a number."""

    answer: int = 0
    """Nothing could be read from the model's answer: counted as wrong."""
    judge: int = 0
    """Nothing could be read from a judge's reply: left out."""


class Scores(Entry):
    """Scores of one model on one part of the items."""

    mean: float
    """Unweighted mean of the benchmarks' scores, in [0, 1]."""
    stderr: float
    """Over items, clustered by group; training variance is not in it."""
    n: int
    by_benchmark: dict[str, Score]
    unscored: dict[str, Unscored] = {}
    """By benchmark, where there are any."""
    without_judge: Score | None = None
    """The mean over the benchmarks that no judge grades; none where a judge grades none."""


class SealedScore(Entry):
    """A score over training seeds."""

    mean: float
    stderr: float
    """Item and training variance together."""
    n: int
    seeds: int
    sd_seeds: float | None
    """Standard deviation over the training seeds."""
    by_benchmark: dict[str, Score]
    without_judge: float | None = None
    """Mean over the benchmarks that no judge grades."""
    unscored_answer: int = 0
    """Items without a number because of the answer (counted as wrong); of the seed with most."""
    unscored_judge: int = 0
    """Items without a number because of the judge (left out); of the seed with most."""


class Interval(Entry):
    low: float
    high: float


class Recovered(Entry):
    """Share of the full-data gain recovered, (headline - base) / (full - base)."""

    part: Part
    share: float
    interval: Interval
    """95 %, Fieller (1954), items paired."""


class Difference(Entry):
    """The headline minus a reference on the same items."""

    reference: str
    part: Part
    difference: float
    interval: Interval
    """95 %."""
    stderr: float
    items_sd: float
    """The part of the standard error that other items would bring."""
    training_sd: float
    """The part that other training seeds (and, for random references, other draws of rows) would bring."""
    freedom: float
    """Degrees of freedom of the interval, after Satterthwaite."""
    detectable: float
    """The true difference that this comparison would find in four of five cases (power 80 %, two-sided 5 %)."""
    training_known: bool
    """Whether the training variance of both sides was measured; if not, the interval is too narrow."""


class Shrinkage(Entry):
    """What of the gain over random that chose the best attempt is not there on sealed items with fresh seeds."""

    public_gain: float
    """Of the chosen attempt over random, on public items, by the score it was chosen for."""
    sealed_gain: float
    """Of the headline over random, on sealed items."""
    shrinkage: float
    """public_gain - sealed_gain; about zero for a real gain."""
    interval: Interval
    """95 %."""
    by_chance: float | None
    """What choosing the best of as many attempts would bring on public items if all were random selections."""
    training_known: bool


class Analysis(Entry):
    """The headline against the references."""

    draws: int
    """Bootstrap draws."""
    seed: int
    """Of the bootstrap."""
    groups: int
    """Groups of items that were drawn, public and sealed."""
    differences: tuple[Difference, ...]
    without_judge: tuple[Difference, ...] = ()
    """The same over the benchmarks that no judge grades, on sealed and on all items; none where a judge grades
    none."""
    recovered: tuple[Recovered, ...]
    shrinkage: Shrinkage | None

    def against(self, reference: str, part: Part) -> Difference | None:
        return next((d for d in self.differences if (d.reference, d.part) == (reference, part)), None)


class Spread(Entry):
    """A standard deviation as measured."""

    sd: float
    values: tuple[float, ...]
    """The scores it is the standard deviation of."""
    interval: Interval | None
    """95 %, by the chi-square distribution; none where every score is the same."""


class Noise(Entry):
    """``harness noise``: how far one selection's score moves by itself."""

    train: dict[Part, Spread]
    """Same rows, other training seeds; the noise of evaluating is in it."""
    evaluate: dict[Part, Spread]
    """One trained model, evaluated again and again by fresh workers."""
    flipped: float
    """Share of items whose score differs between two evaluations of the same model, mean over pairs."""
    reworded: float
    """Share of items whose answer's text differs, mean over pairs."""
    measured: str
    """ISO 8601, UTC."""


Columns = dict[Literal["public", "sealed"], dict[str, dict[str, str]]]
"""Half -> benchmark -> metric -> one entry a group, separated by spaces."""


class Sums(Entry):
    """For every reference and seed, what its items add up to in each group: enough to draw groups again.

    Entries are in the order of ``groups``: the first twelve hexadecimal digits of SHA-256 of a group's name.
    """

    groups: Columns
    bases: Columns
    """Denominators: how many units a group has, where no metric says otherwise."""
    values: dict[str, tuple[Columns, ...]]
    """Numerators, by reference and seed."""
    other_bases: dict[str, dict[int, Columns]] = {}
    """Denominators of the seeds where they differ: items that a judge could not score."""
