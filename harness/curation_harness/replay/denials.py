"""Requests that a spent budget refused in the recorded run: they are refused again, with the same words."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pydantic_core

from curation_harness.record.exchanges import ExchangeLog
from curation_harness.replay.lanes import Lanes, beginning_of, first_turns

Beginning = tuple[str | None, ...]
"""System prompt, instructions and first message as JSON; None of what is not known."""


class _Denial(NamedTuple):
    path: str
    beginning: Beginning
    words: str


class Denials:
    """The recorded refusals for a budget. What a run has spent it does not get back, so a conversation that was
    refused once is refused from there on, however often its program asks again."""

    def __init__(self, log: ExchangeLog) -> None:
        found = (
            _Denial(entry.path, _begun(log.body(entry.request)), entry.reason)
            for entry in log.entries()
            if entry.outcome == "budget"
        )
        self._all = tuple(dict.fromkeys(found))

    def __bool__(self) -> bool:
        return bool(self._all)

    def words(self, lanes: Lanes, path: str, body: bytes) -> str | None:
        """What a request is refused with; None: it is not, because its conversation has a reply left, or because
        the record has no refusal of it."""
        if lanes.waits(path, body):
            return None
        begun = _begun(body)
        here = [denial for denial in self._all if denial.path == path]
        own = next((denial.words for denial in here if _same(denial.beginning, begun)), None)
        if own is None and here and lanes.over(path):
            return here[-1].words  # after its last reply the recorded run refused whatever came
        return own


def _begun(body: bytes) -> Beginning:
    """How a request begins. The record keeps only the first part of a refused one's body."""
    tree, whole = _parsed(body)
    if not isinstance(tree, dict) or not tree:
        return (None, None, None)
    try:
        parts = [json.dumps(part, sort_keys=True, default=str) for part in beginning_of(tree)]
    except RecursionError:
        return (None, None, None)
    if whole:
        return tuple(parts)
    last = next(reversed(tree))  # where it was cut
    turns = tree.get("messages", tree.get("input"))
    first_is_whole = isinstance(turns, list) and len(turns) > len(first_turns(turns))
    known = {
        "system": "system" in tree and last != "system",
        "instructions": "instructions" in tree and last != "instructions",
        "first": first_is_whole or (turns is not None and last not in ("messages", "input")),
    }
    return tuple(part if sure else None for part, sure in zip(parts, known.values(), strict=True))


def _parsed(body: bytes) -> tuple[Any, bool]:
    """A body as far as it goes, and whether that is to its end."""
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        pass
    try:
        return pydantic_core.from_json(body.decode("utf-8", "ignore"), allow_partial=True), False
    except ValueError:
        return None, False


def _same(recorded: Beginning, asked: Beginning) -> bool:
    """Whether two beginnings agree in what is known of the recorded one, the first message at least."""
    pairs = zip(recorded, asked, strict=True)
    return recorded[-1] is not None and all(one in (None, other) for one, other in pairs)
