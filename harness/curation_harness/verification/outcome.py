"""What ``harness verify`` found, and how it says that two things do not fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal, NoReturn

from pydantic import BaseModel

from curation_harness.errors import RecordInvalid
from curation_harness.record.entry import Entry
from curation_harness.record.models import RunStatus

CLOSE: Final = 1e-9
"""Relative difference of two numbers that count as one: a sum's last digit may depend on the machine's libraries."""
HINT: Final = "The record was changed or damaged; a copy of it from another place may be whole."


class Check(Entry):
    """One thing that was looked at."""

    name: str
    outcome: Literal["holds", "not checked"]
    detail: str
    """What was compared; or why it could not be."""


class Verification(Entry):
    """``harness verify --json``."""

    run_id: str
    status: RunStatus
    format: int
    """Of ``run.json`` as it lies there."""
    root: str | None
    """Root digest; none: the record is not sealed."""
    checks: tuple[Check, ...]
    problem: str | None
    """The first thing that does not fit; none: everything that was checked holds."""


def holds(name: str, detail: str) -> Check:
    return Check(name=name, outcome="holds", detail=detail)


def not_checked(name: str, why: str) -> Check:
    return Check(name=name, outcome="not checked", detail=why)


def unfit(where: str, what: str) -> NoReturn:
    """Raises:
    RecordInvalid: always.
    """
    raise RecordInvalid(f"{where}: {what}", hint=HINT)


def same(where: str, recorded: BaseModel, made: BaseModel, of: str) -> None:
    """Hold what is recorded against what was made again.

    Args:
        of: what it was made of.

    Raises:
        RecordInvalid: they differ; with the first value that does.
    """
    for key, then, now in _differences("", recorded.model_dump(mode="json"), made.model_dump(mode="json")):
        unfit(where, f"{key} is recorded as {_short(then)}, and {_short(now)} comes of {of}")


def _differences(key: str, then: object, now: object) -> Iterator[tuple[str, object, object]]:
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*then, *now]):
            yield from _differences(f"{key}.{name}" if key else name, then.get(name), now.get(name))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for place, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _differences(f"{key}[{place}]", one, other)
    elif not _equal(then, now):
        yield key, then, now


def _equal(then: object, now: object) -> bool:
    numbers = isinstance(then, int | float) and isinstance(now, int | float)
    if numbers and not isinstance(then, bool) and not isinstance(now, bool):
        assert isinstance(then, int | float)
        assert isinstance(now, int | float)
        return math.isclose(then, now, rel_tol=CLOSE, abs_tol=CLOSE)
    return then == now


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "…"
