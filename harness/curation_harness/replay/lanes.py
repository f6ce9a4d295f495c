"""Where a request stands in a recorded run: which conversation it belongs to, and how far that has come.

Sub-agents run side by side, so the order over the whole run is not enough: a lane is one conversation, known by its
wire format, its system prompt and its first message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.replay import normalise


def lane_of(path: str, body: bytes) -> str:
    """Name of the conversation that a request belongs to."""
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        tree = None
    beginning = normalise.tree(_beginning(tree)) if isinstance(tree, dict) else None
    written = json.dumps([path, beginning], sort_keys=True, default=str)
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


def _beginning(tree: dict[str, Any]) -> list[Any]:
    turns = tree.get("messages", tree.get("input"))
    first: list[Any] = []
    for turn in turns if isinstance(turns, list) else [turns]:
        first.append(turn)
        if not isinstance(turn, dict) or turn.get("role") == "user":
            break
    return [tree.get("system"), tree.get("instructions"), first]


@dataclass
class _Lane:
    entries: list[ExchangeEntry] = field(default_factory=list)
    """Not served yet, in order of arrival."""


class Lanes:
    """The recorded exchanges that went to the provider, handed out once each."""

    def __init__(self, log: ExchangeLog) -> None:
        self._log = log
        self._lanes: dict[str, _Lane] = {}
        for entry in served(log.entries()):
            self._lanes.setdefault(self._lane(entry), _Lane()).entries.append(entry)

    def take(self, path: str, body: bytes) -> ExchangeEntry | None:
        """The recorded exchange that answers a request: in its lane the one with the same body, else the lane's next
        one; a request of no known lane gets the run's next one of that path. None: nothing is left."""
        lane = self._lanes.get(lane_of(path, body))
        if lane is None or not lane.entries:
            lane = self._next_of(path)
        if lane is None:
            return None
        digest = hashlib.sha256(body).hexdigest()
        found = next((entry for entry in lane.entries if entry.sent == digest), lane.entries[0])
        lane.entries.remove(found)
        return found

    def left(self) -> tuple[ExchangeEntry, ...]:
        """What was not asked for."""
        return tuple(sorted((e for lane in self._lanes.values() for e in lane.entries), key=lambda entry: entry.id))

    def _lane(self, entry: ExchangeEntry) -> str:
        assert entry.sent is not None
        return lane_of(entry.path, self._log.body(entry.sent))

    def _next_of(self, path: str) -> _Lane | None:
        waiting = [lane for lane in self._lanes.values() if lane.entries and lane.entries[0].path == path]
        return min(waiting, key=lambda lane: lane.entries[0].id, default=None)


def served(entries: Iterable[ExchangeEntry]) -> list[ExchangeEntry]:
    """Exchanges whose reply came from the provider; what the gateway refused it refuses again by itself."""
    return [
        entry
        for entry in entries
        if entry.sent is not None and entry.outcome not in ("refused", "budget", "ours") and entry.status
    ]
