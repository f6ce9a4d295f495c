"""The same multiset of (row, weight), or what differs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curation_plugins.selection import Selection
from curation_sandbox.protocol import Problem

SHOWN = 8
"""Rows of each kind that a diff names."""


def differences(submitted: Selection, made: Selection) -> tuple[Problem, ...]:
    """Why two selections are not the same; empty if they are."""
    if submitted == made:
        return ()
    then, now = np.frombuffer(submitted.rows, np.int64), np.frombuffer(made.rows, np.int64)
    missing = then[~_in(then, now)]
    extra = now[~_in(now, then)]
    both = then[_in(then, now)]
    before, after = _weights(submitted, then, both), _weights(made, now, both)
    other = np.flatnonzero(before != after)
    parts = []
    if len(missing):
        parts.append(f"{_count(missing)} of the submission were not made again ({_first(missing)})")
    if len(extra):
        parts.append(f"{_count(extra)} were made that are not in it ({_first(extra)})")
    if len(other):
        weights = ", ".join(f"row {both[k]}: {before[k]:g} submitted, {after[k]:g} made" for k in other[:SHOWN])
        parts.append(f"{_count(other)} got another weight ({weights}{', …' if len(other) > SHOWN else ''})")
    message = (
        f"the policy made other rows than the submitted {len(then)}: {'; '.join(parts)}; {len(both)} are the same."
        " Fixed by: every random number from --seed, no clock, no order of a set or of a folder's files, and all"
        " that is read from the pool, the history or the policy itself"
    )
    return (Problem(code="reproduce-differs", message=message),)


def _in(rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of ``rows`` are among the ascending ``others``."""
    if not len(others):
        return np.zeros(len(rows), bool)
    places = np.minimum(np.searchsorted(others, rows), len(others) - 1)
    found: NDArray[np.bool_] = others[places] == rows
    return found


def _weights(selection: Selection, rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of ``wanted``, all of which are among the selection's ascending ``rows``."""
    weights: NDArray[np.float64] = np.frombuffer(selection.weights)[np.searchsorted(rows, wanted)]
    return weights


def _count(rows: NDArray[np.int64]) -> str:
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'}"


def _first(rows: NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, rows[:SHOWN]))
    return f"the first: {shown}, …" if len(rows) > SHOWN else shown
