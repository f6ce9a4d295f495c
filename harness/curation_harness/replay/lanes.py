"""Where a request stands in a recorded run: which conversation it belongs to, and how far that has come.

Sub-agents run side by side, so the order over the whole run is not enough: a lane is one conversation, known by its
wire format, its system prompt and its first message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.replay import normalise

_AHEAD: Final = 16
"""How many of a lane's next requests are looked through for an equal one: as many as may be under way at once."""


def lane_of(path: str, body: bytes) -> str:
    """Name of the conversation that a request belongs to."""
    try:
        tree = json.loads(body)
        beginning = beginning_of(tree) if isinstance(tree, dict) else None
    except (ValueError, RecursionError):
        beginning = None
    written = json.dumps([path, beginning], sort_keys=True, default=str)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


def beginning_of(tree: dict[str, Any]) -> list[Any]:
    """System prompt, instructions and first message of a request, after the rules.

    Raises:
        RecursionError: it is nested too deeply to look at.
    """
    first = first_turns(tree.get("messages", tree.get("input")))
    return [normalise.tree(_words(part)) for part in (tree.get("system"), tree.get("instructions"), first)]


def first_turns(turns: Any) -> list[Any]:
    """A conversation up to the user's first message."""
    first: list[Any] = []
    for turn in turns if isinstance(turns, list) else [turns]:
        first.append(turn)
        if not isinstance(turn, dict) or turn.get("role") == "user":
            break
    return first


def _words(part: Any) -> Any:
    """What is said, without how it is packed: a message is one text or a list of blocks."""
    if isinstance(part, dict):
        said = part.get("text")
        return said if isinstance(said, str) else {k: _words(v) for k, v in part.items()}
    if isinstance(part, list):
        parts = [_words(one) for one in part]
        return "\n".join(parts) if all(isinstance(one, str) for one in parts) else parts
    return part


@dataclass(frozen=True)
class _Recorded:
    entry: ExchangeEntry
    log: ExchangeLog

    @cached_property
    def normal(self) -> str:
        """Digest of the request after the rules."""
        assert self.entry.sent is not None
        return normalise.digest(self.log.body(self.entry.sent))


@dataclass(eq=False)
class _Lane:
    path: str
    waiting: list[_Recorded] = field(default_factory=list)
    """Not served yet, in order of arrival."""

    def position(self, body: bytes) -> int:
        """Which of the waiting ones a request is: the same one, one equal after the rules, or else the next."""
        digest = hashlib.sha256(body).hexdigest()
        for index, recorded in enumerate(self.waiting):
            if recorded.entry.sent == digest:
                return index
        if len(self.waiting) > 1:
            normal = normalise.digest(body)
            for index, recorded in enumerate(self.waiting[:_AHEAD]):
                if recorded.normal == normal:
                    return index
        return 0


class Taken(NamedTuple):
    entry: ExchangeEntry
    in_order: bool
    """Whether it was its conversation's next one."""


class Lanes:
    """The recorded exchanges that went to the provider, handed out once each."""

    def __init__(self, log: ExchangeLog) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._followed: dict[str, _Lane] = {}
        """The recorded conversation that each one of the replay follows."""
        for entry in served(log.entries()):
            assert entry.sent is not None
            name = lane_of(entry.path, log.body(entry.sent))
            self._lanes.setdefault(name, _Lane(entry.path)).waiting.append(_Recorded(entry, log))

    def take(self, path: str, body: bytes) -> Taken | None:
        """The recorded exchange that answers a request: of its conversation the one with the same body, else one
        that is equal after the rules, else the next. A conversation that the record does not have follows one that
        nobody follows yet. None: nothing is left."""
        lane = self._lane_for(lane_of(path, body), path)
        if lane is None or not lane.waiting:
            return None
        position = lane.position(body)
        return Taken(lane.waiting.pop(position).entry, position == 0)

    def waits(self, path: str, body: bytes) -> bool:
        """Whether a request's own conversation has a recorded exchange left."""
        name = lane_of(path, body)
        lane = self._followed.get(name) or self._lanes.get(name)
        return lane is not None and bool(lane.waiting)

    def over(self, path: str) -> bool:
        """Whether all recorded exchanges with this path were handed out."""
        return not any(lane.waiting for lane in self._lanes.values() if lane.path == path)

    def left(self) -> tuple[ExchangeEntry, ...]:
        """What was not asked for."""
        waiting = (recorded.entry for lane in self._lanes.values() for recorded in lane.waiting)
        return tuple(sorted(waiting, key=lambda entry: entry.id))

    def _lane_for(self, name: str, path: str) -> _Lane | None:
        lane = self._followed.get(name) or self._lanes.get(name) or self._unfollowed(path)
        if lane is not None:
            self._followed[name] = lane
        return lane

    def _unfollowed(self, path: str) -> _Lane | None:
        taken = set(self._followed.values())
        free = (lane for lane in self._lanes.values() if lane.waiting and lane.path == path and lane not in taken)
        return min(free, key=lambda lane: lane.waiting[0].entry.id, default=None)


def served(entries: Iterable[ExchangeEntry]) -> list[ExchangeEntry]:
    """Exchanges whose reply came from the provider; what the gateway refused it refuses again by itself, and what
    the program did not wait for has no reply."""
    return [
        entry
        for entry in entries
        if entry.sent is not None and entry.outcome not in ("refused", "budget", "ours") and entry.status
    ]
