"""Tallies of reference runs in a table: written compactly, read back, and found to fit a run's items or not."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from curation_harness.errors import ReferencesInvalid
from curation_harness.record.measures import Columns, Sums
from curation_harness.record.tallies import Cell, Tallies

Half = Literal["public", "sealed"]
Halves = Mapping[Half, Tallies]
"""One trained model's tallies on both halves."""

HALVES: tuple[Half, Half] = ("public", "sealed")
_DIGITS = 12


def shorten(tallies: Tallies) -> Tallies:
    """The same with groups named as in a table: twelve hexadecimal digits of SHA-256."""
    cells = {
        benchmark: {
            metric: dict(sorted((_short(group), cell) for group, cell in cells.items()))
            for metric, cells in metrics.items()
        }
        for benchmark, metrics in tallies.cells.items()
    }
    return Tallies(cells, tallies.worst)


def _short(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()[:_DIGITS]


def whole(halves: Halves) -> Tallies:
    """Both halves as one set of items; no group is in both. A benchmark may be in one half only."""
    parts = [halves[half].cells for half in HALVES]
    found: dict[str, dict[str, Mapping[str, Cell]]] = {}
    for benchmark in sorted({name for cells in parts for name in cells}):
        own = [cells.get(benchmark, {}) for cells in parts]
        found[benchmark] = {
            metric: {group: cell for metrics in own for group, cell in metrics.get(metric, {}).items()}
            for metric in sorted({metric for metrics in own for metric in metrics})
        }
    return Tallies(found, halves["sealed"].worst)


def pack(arms: Mapping[str, Sequence[Halves]]) -> Sums:
    """The table of tallies whose groups were shortened, all on the same items.

    Raises:
        ReferencesInvalid: the arms were not scored on the same items.
    """
    models = [halves for seeds in arms.values() for halves in seeds]
    frame = _frame(models)
    groups = _column(frame, lambda group, cell: group)
    bases = _column(_framed(models[0], frame), lambda group, cell: f"{cell[1]:.12g}")
    values: dict[str, tuple[Columns, ...]] = {}
    other: dict[str, dict[int, Columns]] = {}
    for name, seeds in arms.items():
        if not all(same_items(halves, models[0]) for halves in seeds):
            raise ReferencesInvalid(
                f"the reference {name} was scored on other items than the first one",
                hint="Remove what was measured of it, and measure it again.",
            )
        framed = [_framed(halves, frame) for halves in seeds]
        values[name] = tuple(_column(halves, lambda group, cell: f"{cell[0]:.12g}") for halves in framed)
        different = {
            k: column
            for k, column in enumerate(_column(halves, lambda group, cell: f"{cell[1]:.12g}") for halves in framed)
            if column != bases
        }
        if different:
            other[name] = different
    return Sums(groups=groups, bases=bases, values=values, other_bases=other)


def _frame(models: Sequence[Halves]) -> Halves:
    """Every cell that a model has. Which classes an answer counts in depends on the answer, where a metric is a
    macro-average, so that models on the same items need not have the same ones."""
    found: dict[Half, Tallies] = {}
    for half in HALVES:
        cells: dict[str, dict[str, dict[str, Cell]]] = {}
        for halves in models:
            for benchmark, metrics in halves[half].cells.items():
                for metric, groups in metrics.items():
                    cells.setdefault(benchmark, {}).setdefault(metric, {}).update(dict.fromkeys(groups, (0.0, 0.0)))
        found[half] = Tallies(
            {
                benchmark: {metric: dict(sorted(groups.items())) for metric, groups in sorted(metrics.items())}
                for benchmark, metrics in cells.items()
            }
        )
    return found


def _framed(halves: Halves, frame: Halves) -> Halves:
    """The same sums with a zero in every cell of the frame that they have not."""
    return {
        half: Tallies(
            {
                benchmark: {
                    metric: {**groups, **halves[half].cells.get(benchmark, {}).get(metric, {})}
                    for metric, groups in metrics.items()
                }
                for benchmark, metrics in frame[half].cells.items()
            },
            halves[half].worst,
        )
        for half in HALVES
    }


class _Entry(Protocol):
    def __call__(self, group: str, cell: Cell) -> str: ...


def _column(halves: Halves, entry: _Entry) -> Columns:
    return {
        half: {
            benchmark: {
                metric: " ".join(entry(group, cell) for group, cell in cells.items())
                for metric, cells in metrics.items()
            }
            for benchmark, metrics in halves[half].cells.items()
        }
        for half in HALVES
    }


def unpack(sums: Sums, worst: frozenset[str] = frozenset()) -> dict[str, list[Halves]]:
    """The tallies of every reference and seed.

    Args:
        worst: benchmarks whose score is the lowest of their metrics.

    Raises:
        ReferencesInvalid: columns of unequal length, or no numbers.
    """
    return {
        name: [
            _tallies(sums.groups, column, sums.other_bases.get(name, {}).get(k, sums.bases), worst)
            for k, column in enumerate(columns)
        ]
        for name, columns in sums.values.items()
    }


def _tallies(groups: Columns, values: Columns, bases: Columns, worst: frozenset[str]) -> Halves:
    try:
        return {
            half: Tallies(
                {
                    benchmark: {
                        metric: _cells(named, values[half][benchmark][metric], bases[half][benchmark][metric])
                        for metric, named in metrics.items()
                    }
                    for benchmark, metrics in groups[half].items()
                },
                worst,
            )
            for half in HALVES
        }
    except (KeyError, ValueError) as error:
        raise ReferencesInvalid(
            f"the sums of a reference table do not fit together ({error})",
            hint="The table was changed or damaged: export it again.",
        ) from None


def _cells(groups: str, values: str, bases: str) -> dict[str, Cell]:
    rows = list(zip(groups.split(), map(float, values.split()), map(float, bases.split()), strict=True))
    if not all(math.isfinite(value) and math.isfinite(base) for _, value, base in rows):
        raise ValueError("a sum is no finite number")
    return {group: (value, base) for group, value, base in rows}


def same_items(one: Halves, other: Halves) -> bool:
    """Whether two models were scored on the same groups of the same benchmarks."""
    return _groups(one) == _groups(other)


def _groups(halves: Halves) -> dict[tuple[Half, str], set[str]]:
    return {
        (half, benchmark): {group for cells in metrics.values() for group in cells}
        for half in HALVES
        for benchmark, metrics in halves[half].cells.items()
    }
