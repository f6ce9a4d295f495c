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
        ValueError: the models were not scored on the same benchmarks and metrics.
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
    """All models' sums as arrays."""

    def __init__(self, arms: Mapping[str, Sequence[Tallies]]) -> None:
        models = [tallies for members in arms.values() for tallies in members]
        self.metrics = [(b, m) for b, metrics in models[0].cells.items() for m in metrics]
        for model in models:
            if [(b, m) for b, metrics in model.cells.items() for m in metrics] != self.metrics:
                raise ValueError("models of different benchmarks or metrics cannot be compared")
        touched: dict[str, set[str]] = defaultdict(set)
        for model in models:
            for benchmark, metric in self.metrics:
                for group in model.cells[benchmark][metric]:
                    touched[group].add(benchmark)
        self.groups = sorted(touched)
        place = {group: index for index, group in enumerate(self.groups)}
        self._values = np.zeros((len(self.groups), len(models), len(self.metrics)))
        self._bases = np.zeros_like(self._values)
        for j, model in enumerate(models):
            for m, (benchmark, metric) in enumerate(self.metrics):
                for group, (value, base) in model.cells[benchmark][metric].items():
                    self._values[place[group], j, m] = value
                    self._bases[place[group], j, m] = base
        self.strata = _strata([frozenset(touched[group]) for group in self.groups])
        self._mean_over_metrics = _averaging(self.metrics)
        names = np.array([benchmark for benchmark, _ in self.metrics])
        self._worst = [np.flatnonzero(names == name) for name in sorted(models[0].worst & set(names.tolist()))]

    def scores(self, weights: Floats) -> Floats:
        """(draws, models) from weights (draws, groups)."""
        shape = (len(weights), *self._values.shape[1:])
        values = (weights @ self._values.reshape(len(self.groups), -1)).reshape(shape)
        bases = (weights @ self._bases.reshape(len(self.groups), -1)).reshape(shape)
        ratios = np.divide(values, bases, out=np.full(shape, np.nan), where=bases > 0)
        for metrics in self._worst:  # the lowest in place of each: their mean is then the lowest
            ratios[..., metrics] = ratios[..., metrics].min(axis=-1, keepdims=True)
        scores: Floats = ratios @ self._mean_over_metrics
        return scores


def _averaging(metrics: Sequence[tuple[str, str]]) -> Floats:
    """Weight of each metric in the unweighted mean over benchmarks of the mean over metrics."""
    names = [benchmark for benchmark, _ in metrics]
    return np.array([1 / names.count(name) / len(set(names)) for name in names])


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
