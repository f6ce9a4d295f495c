"""What can be measured of one try beside those before it: code, selection, cards, score."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from curation_harness.diagnostics.tries import RunView, Try
from curation_harness.record import mix as mixes
from curation_harness.record.entry import Entry
from curation_plugins.policies.compare import structure_distance
from curation_plugins.selection import jaccard


class CodeFeatures(Entry):
    """Of the policy's syntax tree, without running it."""

    signals: tuple[str, ...]
    """Columns, signals and files it reads that say something of the content."""
    metadata: tuple[str, ...]
    """Columns it reads that the pool says of a row directly."""
    calls: tuple[str, ...]
    """Calls out of the policy, by their full names."""
    constants: int
    """Numbers and strings in live code."""
    operations: int
    """Computations that can reach what is written."""
    functions: int
    executed: int | None
    """Functions that were entered when the host ran the policy; none: it did not run it."""
    unreadable_parts: bool
    """Whether it runs code that cannot be read, such as ``exec``."""


class Features(Entry):
    code: CodeFeatures | None
    unreadable: str
    """Why there are none of the code."""
    distances: dict[int, float]
    """Attempt before it → structure distance, 0 the same to 1 nothing in common."""
    nearest: int | None
    """The attempt before it with the smallest distance; of equals the one whose rows overlap most, then the last."""
    rows: int | None
    overlaps: dict[int, float]
    """Attempt before it → Jaccard index of the selected rows."""
    overlap_by_chance: float | None
    """Jaccard index to be expected of two random selections of its size; none without the pool."""
    mix: dict[str, int] | None
    """Selected rows by source; none without the pool."""
    mix_from_pool: float | None
    """Total variation distance between its source shares and the pool's, 0 to 1."""
    mix_moved: float | None
    """Total variation distance between its source shares and those of ``nearest``."""
    cited: tuple[str, ...]
    read: tuple[str, ...]
    """Cards read before it."""
    mean: float | None
    stderr: float | None
    best_before: float | None
    """Best public score of the attempts before it."""
    gain: float | None
    """Its public score minus that."""


def features(view: RunView, one: Try) -> Features:
    """Features of ``one`` of the run's tries."""
    before = attempts_before(view.tries, one)
    distances = _distances(one, before)
    overlaps = {_n(old): jaccard(one.rows, old.rows) for old in before if one.rows and old.rows}
    nearest = _nearest(distances, overlaps)
    mix = mix_of(one.rows, view.sources)
    best = best_before(view.tries, one)
    old_mix = next((mix_of(old.rows, view.sources) for old in before if old.n == nearest), None)
    return Features(
        code=_code(one),
        unreadable=one.unreadable,
        distances=distances,
        nearest=nearest,
        rows=len(one.rows) if one.rows is not None else None,
        overlaps=overlaps,
        overlap_by_chance=_by_chance(one, view.pool_rows),
        mix=mix,
        mix_from_pool=variation(mix, mixes.counts(view.sources)) if mix else None,
        mix_moved=variation(mix, old_mix) if mix and old_mix else None,
        cited=one.cited,
        read=one.cards_read,
        mean=one.mean,
        stderr=one.stderr,
        best_before=best,
        gain=None if one.mean is None or best is None else one.mean - best,
    )


def attempts_before(tries: Sequence[Try], one: Try) -> tuple[Try, ...]:
    """Scored attempts before ``one``: what a procedure or a family can have been used in. A refused or failed try
    taught nobody anything."""
    return tuple(old for old in tries if old.place < one.place and old.outcome == "scored")


def best_before(tries: Sequence[Try], one: Try) -> float | None:
    return max((old.mean for old in attempts_before(tries, one) if old.mean is not None), default=None)


def mix_of(rows: array[int] | None, sources: np.ndarray) -> dict[str, int] | None:
    """Rows by source; none without rows or sources."""
    return None if rows is None or not len(sources) else mixes.mix_of(rows, sources)


def variation(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Total variation distance between two distributions given as counts: half the sum of absolute differences."""
    left, right = max(1, sum(one.values())), max(1, sum(other.values()))
    return sum(abs(one.get(name, 0) / left - other.get(name, 0) / right) for name in {*one, *other}) / 2


def _distances(one: Try, before: Sequence[Try]) -> dict[int, float]:
    if one.code is None:
        return {}
    return {_n(old): structure_distance(one.code, old.code) for old in before if old.code is not None}


def _nearest(distances: Mapping[int, float], overlaps: Mapping[int, float]) -> int | None:
    return min(distances, key=lambda n: (round(distances[n], 6), -overlaps.get(n, 0.0), -n), default=None)


def _by_chance(one: Try, pool_rows: int | None) -> float | None:
    """p / (2 − p) for a share p of the pool: expected shared rows over expected rows of both."""
    if not one.rows or not pool_rows:
        return None
    share = len(one.rows) / pool_rows
    return share / (2 - share)


def _code(one: Try) -> CodeFeatures | None:
    if one.code is None:
        return None
    return CodeFeatures(
        signals=one.code.signals,
        metadata=one.code.metadata,
        calls=one.code.calls,
        constants=len(one.code.constants),
        operations=sum(count for name, count in one.code.features.items() if ">" not in name),
        functions=len(one.code.functions),
        executed=None if one.functions is None else len(one.functions),
        unreadable_parts=bool(one.code.dynamic),
    )


def _n(one: Try) -> int:
    assert one.n is not None  # an attempt has a number
    return one.n
