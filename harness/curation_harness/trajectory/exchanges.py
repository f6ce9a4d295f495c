"""Recorded exchanges, read: what was asked and what was replied, whatever the bytes are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.trajectory import bounds, chat, messages, responses
from curation_harness.trajectory.dialogue import Asked, Reply, row, word
from curation_harness.trajectory.events import documents
from curation_sandbox.gateway.wires import Wire

MAX_BODY: Final = 32 * 2**20
"""Bytes of a body that are read; a longer one counts as unreadable."""


class _Reader(NamedTuple):
    asked: Callable[[dict[str, object]], Asked]
    replied: Callable[[Iterable[dict[str, object]]], Reply]


_READERS: Final = {
    Wire.MESSAGES: _Reader(messages.asked, messages.replied),
    Wire.RESPONSES: _Reader(responses.asked, responses.replied),
    Wire.CHAT: _Reader(chat.asked, chat.replied),
}


def read_asked(log: ExchangeLog, entry: ExchangeEntry) -> Asked | None:
    """The request; None if it cannot be read."""
    if entry.wire is None:
        return None
    body = bounds.parsed(_body(log, entry.request))
    return _READERS[entry.wire].asked(body) if isinstance(body, dict) else None


def read_reply(log: ExchangeLog, entry: ExchangeEntry) -> Reply:
    """The reply, as far as there is one."""
    if entry.wire is None:
        return Reply()
    found = list(documents(_body(log, entry.response)))
    if entry.status >= 400:
        return Reply(error=bounds.text(next((word(row(each.get("error")).get("message")) for each in found), "")))
    return _READERS[entry.wire].replied(found)


def _body(log: ExchangeLog, digest: str) -> bytes:
    try:
        data = log.body(digest)
    except RecordInvalid:
        return b""  # one lost body does not cost the other steps
    return data if len(data) <= MAX_BODY else b""
