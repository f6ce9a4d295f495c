"""Drawing groups of items again, for several models on the same items at once.

Items are what a score generalises from, and models are compared on the same ones, so a draw takes the same groups for
all of them (paired) and takes a group with all its items, in every benchmark it has items in (clustered; Miller 2024,
arXiv 2411.00640, §2.2 and §4.2). Groups are drawn within strata: the groups with items in the same benchmarks form
one, so that each benchmark keeps its size. From a stratum of n groups n−1 are drawn and weighted by n/(n−1), so that
the variance of a sum is unbiased for strata of any size (Rao & Wu 1988, J. Am. Stat. Assoc. 83:231, §2; m = n−1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation_harness.record.tallies import Tallies

Floats = NDArray[np.float64]

DRAWS = 2000
SEED = 20_241_101
"""Of the draws: the same record gives the same interval."""
LEAST_STRATUM = 5
"""Strata of fewer groups are put together."""
_CHUNK = 250
"""Draws made at once: bounds memory."""


@dataclass(frozen=True)
class Measured:
    """One selection's score on one part of the items."""

    point: Floats
    """(K,): the score under each training seed."""
    draws: Floats
    """(B, K): the same on each draw of groups; NaN where a draw has nothing to count."""

    def minus(self, other: Measured) -> Measured:
        """Seed by seed: for two parts of the same trained models."""
        return Measured(self.point - other.point, self.draws - other.draws)


@dataclass(frozen=True)
class Resampled:
    measured: Mapping[str, Measured]
    groups: int
    strata: int


def resample(arms: Mapping[str, Sequence[Tallies]], draws: int = DRAWS, seed: int = SEED) -> Resampled:
    """Draw groups again.

    Args:
        arms: for each name, one model's tallies a training seed, all on the same items.

    Raises:
        ValueError: the models were not scored on the same benchmarks.
    """
    grid = _Grid(arms)
    rng = np.random.default_rng(seed)
    point = grid.scores(np.ones((1, len(grid.groups))))[0]
    drawn = np.concatenate([grid.scores(weights) for weights in _weights(grid.strata, draws, rng)])
    measured: dict[str, Measured] = {}
    start = 0
    for name, tallies in arms.items():
        columns = slice(start, start + len(tallies))
        measured[name] = Measured(point[columns], drawn[:, columns])
        start += len(tallies)
    return Resampled(measured, len(grid.groups), len(grid.strata))


class _Grid:
    """All models' sums as arrays: a benchmark at a time, over the groups that it has."""

    def __init__(self, arms: Mapping[str, Sequence[Tallies]]) -> None:
        models = [tallies for members in arms.values() for tallies in members]
        names = list(models[0].cells)
        if any(list(model.cells) != names for model in models):
            raise ValueError("models of different benchmarks cannot be compared")
        touched: dict[str, set[str]] = defaultdict(set)
        for model in models:
            for name in names:
                for cells in model.cells[name].values():
                    for group in cells:
                        touched[group].add(name)
        self.groups = sorted(touched)
        place = {group: index for index, group in enumerate(self.groups)}
        self.strata = _strata([frozenset(touched[group]) for group in self.groups])
        self._sums = [_BenchmarkSums(name, models, place) for name in names]

    def scores(self, weights: Floats) -> Floats:
        """(draws, models) from weights (draws, groups)."""
        total = self._sums[0].scores(weights)
        for sums in self._sums[1:]:
            total += sums.scores(weights)
        scores: Floats = total / len(self._sums)
        return scores


class _BenchmarkSums:
    """One benchmark's sums. A metric may be one model's and not another's: of a macro-average over the classes that
    occur or are answered, each model has its own."""

    def __init__(self, name: str, models: Sequence[Tallies], place: Mapping[str, int]) -> None:
        metrics = sorted({metric for model in models for metric in model.cells[name]})
        groups = sorted({group for model in models for cells in model.cells[name].values() for group in cells})
        row = {group: index for index, group in enumerate(groups)}
        self._places = np.array([place[group] for group in groups])
        self._values = np.zeros((len(groups), len(models), len(metrics)))
        self._bases = np.zeros_like(self._values)
        for j, model in enumerate(models):
            for m, metric in enumerate(metrics):
                for group, (value, base) in model.cells[name].get(metric, {}).items():
                    self._values[row[group], j, m] = value
                    self._bases[row[group], j, m] = base
        self._worst = name in models[0].worst

    def scores(self, weights: Floats) -> Floats:
        """(draws, models): the mean over the metrics that have something to count, or the lowest of them; NaN where
        none has."""
        drawn = weights[:, self._places]
        shape = (len(weights), *self._values.shape[1:])
        values = (drawn @ self._values.reshape(len(self._places), -1)).reshape(shape)
        bases = (drawn @ self._bases.reshape(len(self._places), -1)).reshape(shape)
        counted = bases > 0
        if self._worst:
            lowest = np.divide(values, bases, out=np.full(shape, np.inf), where=counted).min(axis=-1)
            return np.asarray(np.where(counted.any(axis=-1), lowest, np.nan))
        total = np.divide(values, bases, out=np.zeros(shape), where=counted).sum(axis=-1)
        number = counted.sum(axis=-1)
        return np.asarray(np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0))


def _strata(touched: Sequence[frozenset[str]]) -> list[NDArray[np.intp]]:
    """Places of the groups of each stratum; small strata together, and with the largest if still too small."""
    by_benchmarks: dict[frozenset[str], list[int]] = defaultdict(list)
    for index, benchmarks in enumerate(touched):
        by_benchmarks[benchmarks].append(index)
    large = [places for places in by_benchmarks.values() if len(places) >= LEAST_STRATUM]
    small = [index for places in by_benchmarks.values() if len(places) < LEAST_STRATUM for index in places]
    if len(small) >= LEAST_STRATUM or not large:
        large += [small] if small else []
    else:
        max(large, key=len).extend(small)
    return [np.array(sorted(places)) for places in large]


def _weights(strata: Sequence[NDArray[np.intp]], draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each group counts in each draw, some draws at a time."""
    groups = sum(len(places) for places in strata)
    for start in range(0, draws, _CHUNK):
        weights = np.ones((min(_CHUNK, draws - start), groups))
        for places in strata:
            n = len(places)
            if n > 1:
                counts = rng.multinomial(n - 1, np.full(n, 1 / n), size=len(weights))
                weights[:, places] = counts * (n / (n - 1))
        yield weights
