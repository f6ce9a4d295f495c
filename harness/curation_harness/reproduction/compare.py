"""The same multiset of (row, weight), or what differs."""

from __future__ import annotations

from curation_plugins.selection import Selection
from curation_sandbox.protocol import Problem

SHOWN = 8
"""Rows of each kind that a diff names."""


def differences(submitted: Selection, made: Selection) -> tuple[Problem, ...]:
    """Why two selections are not the same; empty if they are."""
    then = dict(zip(submitted.rows, submitted.weights, strict=True))
    now = dict(zip(made.rows, made.weights, strict=True))
    missing = [row for row in submitted.rows if row not in now]
    extra = [row for row in made.rows if row not in then]
    other = [row for row in submitted.rows if row in now and now[row] != then[row]]
    parts = []
    if missing:
        parts.append(f"{_count(missing)} of the submission were not made again ({_first(missing)})")
    if extra:
        parts.append(f"{_count(extra)} were made that are not in it ({_first(extra)})")
    if other:
        weights = ", ".join(f"row {row}: {then[row]:g} submitted, {now[row]:g} made" for row in other[:SHOWN])
        parts.append(f"{_count(other)} got another weight ({weights}{', …' if len(other) > SHOWN else ''})")
    if not parts:
        return ()
    kept = len(then) - len(missing)
    message = (
        f"the policy made other rows than the submitted {len(then)}: {'; '.join(parts)}; {kept} are the same."
        " Fixed by: every random number from --seed, no clock, no order of a set or of a folder's files, and all"
        " that is read from the pool, the history or the policy itself"
    )
    return (Problem(code="reproduce-differs", message=message),)


def _count(rows: list[int]) -> str:
    return f"{len(rows)} row{'' if len(rows) == 1 else 's'}"


def _first(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:SHOWN]))
    return f"the first: {shown}, …" if len(rows) > SHOWN else shown
