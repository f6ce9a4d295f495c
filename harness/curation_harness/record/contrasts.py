"""Differences and ratios of scores, with errors from items and from training.

The model behind it: the score of training seed k on item i is μ + a_k + b_i + c_ki. The mean over K seeds and I items
has the variance σ_a²/K + σ_b²/I + σ_c²/(K·I) (two-way random effects, e.g. Searle, Casella & McCulloch 1992,
Variance Components, §4). Drawing groups of items again, with the seeds kept, estimates the last two terms; the
variance of the seeds' scores on the items at hand estimates σ_a² + σ_c²/I, of which the part that drawing items again
holds already is taken off, so that it is not counted twice. The parts are added, and the interval's quantile is
Student's t with Satterthwaite's degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2:110), because σ_a² is
known from a few seeds only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curation_harness.record.bootstrap import Floats, Measured
from curation_harness.record.measures import Interval
from curation_harness.record.student import t_quantile

LEVEL = 0.975
POWER = 0.8


@dataclass(frozen=True)
class Training:
    """How a score moves with the training seed."""

    main: float
    """σ_a²: what is left of ``total`` without what other items would bring; not below zero."""
    total: float
    """Variance of the seeds' scores on the items at hand."""
    freedom: int
    """Seeds behind it, less one."""


UNTRAINED = Training(0.0, 0.0, 1)


def training_of(measured: Measured) -> Training | None:
    """Of a selection's own seeds; none from a single one."""
    count = len(measured.point)
    if count < 2:
        return None
    draws = measured.draws[np.isfinite(measured.draws).all(axis=1)]
    apart = draws - draws.mean(axis=1, keepdims=True)
    crossed = float(apart.var(axis=0, ddof=1).mean()) * count / (count - 1)
    total = float(measured.point.var(ddof=1))
    return Training(max(0.0, total - crossed), total, count - 1)


@dataclass(frozen=True)
class Side:
    """One score that a contrast is made of."""

    measured: Measured
    training: Training | None
    """None: not known."""


@dataclass(frozen=True)
class Estimate:
    value: float
    stderr: float
    items_sd: float
    training_sd: float
    freedom: float
    training_known: bool

    @property
    def interval(self) -> Interval:
        half = t_quantile(LEVEL, self.freedom) * self.stderr
        return Interval(low=self.value - half, high=self.value + half)

    @property
    def detectable(self) -> float:
        """The true difference found with that power in a two-sided test of that level (Miller 2024, §5)."""
        return (t_quantile(LEVEL, self.freedom) + t_quantile(POWER, self.freedom)) * self.stderr


class Contrasts:
    """Linear combinations of some sides' means over seeds, with their covariances."""

    def __init__(self, sides: Mapping[str, Side], groups: int) -> None:
        self._names = list(sides)
        self._sides = [sides[name] for name in self._names]
        means = np.column_stack([side.measured.draws.mean(axis=1) for side in self._sides])
        means = means[np.isfinite(means).all(axis=1)]
        self._items: Floats = np.atleast_2d(np.cov(means, rowvar=False))
        self._means = np.array([side.measured.point.mean() for side in self._sides])
        self._training = np.array([side.training.main / _seeds(side) if side.training else 0 for side in self._sides])
        self._freedom_of_items = max(1, groups - 1)

    def mean(self, name: str) -> float:
        return float(self._means[self._names.index(name)])

    def covariance(self, one: Mapping[str, float], other: Mapping[str, float]) -> float:
        left, right = self._vector(one), self._vector(other)
        return float(left @ self._items @ right + (left * right) @ self._training)

    def estimate(self, weights: Mapping[str, float]) -> Estimate:
        """A combination's value and error, e.g. ``{"headline": 1, "random": -1}``."""
        vector = self._vector(weights)
        items = max(0.0, float(vector @ self._items @ vector))
        training = float(vector**2 @ self._training)
        return Estimate(
            value=float(vector @ self._means),
            stderr=math.sqrt(items + training),
            items_sd=math.sqrt(items),
            training_sd=math.sqrt(training),
            freedom=self._freedom(vector, items, training),
            training_known=all(
                side.training is not None for weight, side in zip(vector, self._sides, strict=True) if weight != 0
            ),
        )

    def ratio(self, above: Mapping[str, float], below: Mapping[str, float]) -> tuple[float, Interval] | None:
        """above / below with the interval of Fieller (1954, J. R. Stat. Soc. B 16:175): all θ for which
        above − θ·below is within its own error of zero. None unless below is clearly positive: the interval
        would then be unbounded, and a ratio would mean nothing.
        """
        a, b = (float(self._vector(weights) @ self._means) for weights in (above, below))
        if b <= 0:
            return None
        theta = a / b
        leftover = {name: above.get(name, 0.0) - theta * below.get(name, 0.0) for name in {*above, *below}}
        quantile = t_quantile(LEVEL, self.estimate(leftover).freedom)
        square, cross, free = (
            quantile**2 * self.covariance(one, other)
            for one, other in ((below, below), (above, below), (above, above))
        )
        bend, slope, rest = b * b - square, a * b - cross, a * a - free
        if bend <= 0:
            return None
        half = math.sqrt(max(0.0, slope * slope - bend * rest)) / bend
        middle = slope / bend
        return theta, Interval(low=middle - half, high=middle + half)

    def _freedom(self, vector: Floats, items: float, training: float) -> float:
        total = items + training
        if total == 0:
            return math.inf
        uncertain = items**2 / self._freedom_of_items
        for weight, side in zip(vector, self._sides, strict=True):
            if side.training is not None:
                uncertain += (weight**2 * side.training.total / _seeds(side)) ** 2 / side.training.freedom
        return max(1.0, total**2 / uncertain) if uncertain else math.inf

    def _vector(self, weights: Mapping[str, float]) -> Floats:
        return np.array([weights.get(name, 0.0) for name in self._names])


def _seeds(side: Side) -> int:
    return len(side.measured.point)


def sides(measured: Mapping[str, Measured], untrained: Sequence[str], fallback: Training | None) -> dict[str, Side]:
    """Each with its training variance: none of the untrained, its own seeds', or what was measured elsewhere."""
    return {
        name: Side(one, UNTRAINED if name in untrained else training_of(one) or fallback)
        for name, one in measured.items()
    }
