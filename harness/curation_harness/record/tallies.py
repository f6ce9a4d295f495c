"""What the items of a part add up to, group by group: scores, errors and bootstrap draws are made of these sums."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from curation_plugins.jobs import ItemResult, ItemUnit

SCORE = "score"
"""The one metric of a benchmark whose items bring no units of their own."""

Cell = tuple[float, float]
"""Numerators and denominators, added up."""


@dataclass(frozen=True)
class Tallies:
    """One model's sums on some items."""

    cells: Mapping[str, Mapping[str, Mapping[str, Cell]]]
    """Benchmark -> metric -> group -> sums. Benchmarks, metrics and groups are sorted."""
    worst: frozenset[str] = frozenset()
    """Benchmarks whose score is the lowest of their metrics."""

    def score(self, benchmark: str) -> float | None:
        """The unweighted mean over the benchmark's metrics of Σ numerators / Σ denominators, or the lowest of them;
        none if one has nothing to count."""
        ratios = [ratio(cells.values()) for cells in self.cells[benchmark].values()]
        known = [value for value in ratios if value is not None]
        if not known or len(known) < len(ratios):
            return None
        return min(known) if benchmark in self.worst else math.fsum(known) / len(known)

    def influence(self, benchmark: str) -> dict[str, float]:
        """How far each group moves the benchmark's score, linearised: Σ_m (N_gm − R_m·D_gm) / D_m / M. Of a lowest
        metric m the groups of the others move nothing, and M is 1."""
        metrics = self._deciding(benchmark)
        moved: dict[str, float] = defaultdict(float)
        for cells in metrics.values():
            total = math.fsum(base for _, base in cells.values())
            here = ratio(cells.values())
            if here is None:
                continue
            for group, (value, base) in cells.items():
                moved[group] += (value - here * base) / total / len(metrics)
        return moved

    def _deciding(self, benchmark: str) -> Mapping[str, Mapping[str, Cell]]:
        """The metrics that move the benchmark's score: all, or the lowest (of equals the first)."""
        metrics = self.cells[benchmark]
        ratios = {name: ratio(cells.values()) for name, cells in metrics.items()}
        known = {name: value for name, value in ratios.items() if value is not None}
        if benchmark not in self.worst or not known:
            return metrics
        lowest = min(known, key=lambda name: known[name])
        return {lowest: metrics[lowest]}


def ratio(cells: Iterable[Cell]) -> float | None:
    """Σ numerators / Σ denominators; none if there is nothing to count."""
    known = list(cells)
    total = math.fsum(base for _, base in known)
    return math.fsum(value for value, _ in known) / total if total > 0 else None


def tally(items: Iterable[ItemResult], worst: Collection[str] = ()) -> Tallies:
    """Add up items.

    An unscored unit counts as wrong where the answer is at fault (saying nothing readable must not pay), and is left
    out where the judge is. Where its denominator is not known, the mean of the metric's known ones is taken.

    Args:
        worst: benchmarks whose score is the lowest of their metrics.
    """
    units: dict[tuple[str, str], list[tuple[str, ItemUnit]]] = defaultdict(list)
    for item in items:
        for unit in _units(item):
            units[item.benchmark, unit.metric].append((item.group, unit))
    cells: dict[str, dict[str, dict[str, Cell]]] = defaultdict(dict)
    for (benchmark, metric), members in sorted(units.items()):
        cells[benchmark][metric] = _by_group(members)
    return Tallies(cells, frozenset(worst))


def _units(item: ItemResult) -> Sequence[ItemUnit]:
    if item.units is not None:
        return item.units
    return (ItemUnit(metric=SCORE, value=item.score, unscored=item.unscored),)


def _by_group(members: Sequence[tuple[str, ItemUnit]]) -> dict[str, Cell]:
    bases = [unit.base for _, unit in members if unit.base is not None]
    typical = math.fsum(bases) / len(bases) if bases else 0.0
    sums: dict[str, Cell] = {}
    for group, unit in members:
        value, base = sums.get(group, (0.0, 0.0))
        if unit.unscored != "judge":
            value += unit.value or 0.0
            base += typical if unit.base is None else unit.base
        sums[group] = (value, base)
    return dict(sorted(sums.items()))


def faults(items: Iterable[ItemResult]) -> dict[str, Counter[str]]:
    """Items without a number, by benchmark and by whose fault it is."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        if item.unscored is not None:
            found[item.benchmark][item.unscored] += 1
    return dict(found)
