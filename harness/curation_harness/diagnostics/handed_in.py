"""What a run's events tell of its submissions: their order, the cards read before each, and what each took of the
agent's time and of its model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from curation_harness.errors import RecordInvalid
from curation_harness.record.events import Event
from curation_harness.record.store import RunRecord

Kind = Literal["accepted", "refused"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one try took, counted from the try before it to its own end."""

    agent_seconds: float = 0.0
    """On the agent's clock, which stands still while the host works."""
    host_seconds: float = 0.0
    """Wall seconds of training and scoring, queueing included."""
    dollars: float = 0.0
    """Of the agent's model, by the run's prices."""
    tokens: int = 0

    def plus(self, other: Spent) -> Spent:
        return Spent(
            agent_seconds=self.agent_seconds + other.agent_seconds,
            host_seconds=self.host_seconds + other.host_seconds,
            dollars=self.dollars + other.dollars,
            tokens=self.tokens + other.tokens,
        )


@dataclass(frozen=True, kw_only=True)
class HandedIn:
    """One submission as its event tells of it."""

    kind: Kind
    n: int
    """Of the attempts or of the refusals."""
    cards_read: tuple[str, ...]
    """Ids of the method cards read before it."""
    spent: Spent
    """By the agent and its model."""


def handed_in(record: RunRecord) -> tuple[list[HandedIn], Spent]:
    """Submissions in order, and what was spent after the last of them.

    Raises:
        RecordInvalid: the events are not those of a run.
    """
    try:
        return _handed_in(record.events.all())
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        said = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise RecordInvalid(
            f"{record.folder / 'events.jsonl'}: an event is not as its kind has it ({said})",
            hint="The record was changed or damaged.",
        ) from None


def _handed_in(events: Iterable[Event]) -> tuple[list[HandedIn], Spent]:
    read: dict[str, None] = {}
    found: list[HandedIn] = []
    last: dict[Kind, int] = dict.fromkeys(KINDS, 0)
    spending = _Spending()
    for event in events:
        kind = next((kind for kind in KINDS if kind == event.kind), None)
        if event.kind == "method-read":
            read.setdefault(str(event.data["id"]))
        elif kind is not None:
            n = int(event.data["n"])
            if n <= last[kind]:
                raise ValueError(f"event {event.seq}: {kind} {n} after {last[kind]}")
            last[kind] = n
            spending.close(_seconds(event))
            found.append(HandedIn(kind=kind, n=n, cards_read=tuple(read), spent=Spent()))
        elif event.kind == "clock":
            spending.clock(_seconds(event), _amount(event.data["agent_seconds"]))
        elif event.kind == "model-call":
            spending.call(int(event.data["tokens"]), _amount(event.data["dollars"] or 0.0))
    *spent, afterwards = spending.parts
    return [
        HandedIn(kind=one.kind, n=one.n, cards_read=one.cards_read, spent=part)
        for one, part in zip(found, spent, strict=True)
    ], afterwards


def _seconds(event: Event) -> float:
    return datetime.fromisoformat(event.time).timestamp()


def _amount(told: Any) -> float:
    amount = float(told)
    if not (math.isfinite(amount) and amount >= 0.0):
        raise ValueError(f"{amount} spent")
    return amount


class _Spending:
    """What was spent, cut where a submission came.

    The clock is entered in the events when it stops or has run for a while, and it stops after a submission: so an
    entry goes back from its own time as far as its seconds, over the submissions since the entry before it.
    """

    def __init__(self) -> None:
        self.parts = [Spent()]
        """One for each submission, and the last for what came after."""
        self._cuts: list[float] = []
        """When the submissions since the clock's last entry came."""

    def close(self, when: float) -> None:
        self._cuts.append(when)
        self.parts.append(Spent())

    def call(self, tokens: int, dollars: float) -> None:
        self._add(-1, Spent(tokens=tokens, dollars=dollars))

    def clock(self, when: float, seconds: float) -> None:
        start, left = when - seconds, seconds
        for place, cut in enumerate(self._cuts, start=-len(self._cuts) - 1):
            own = min(max(0.0, cut - start), left)
            self._add(place, Spent(agent_seconds=own))
            start, left = start + own, left - own
        self._add(-1, Spent(agent_seconds=left))
        self._cuts.clear()

    def _add(self, place: int, more: Spent) -> None:
        self.parts[place] = self.parts[place].plus(more)
