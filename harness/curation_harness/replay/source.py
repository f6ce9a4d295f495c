"""Replies out of a record: the gateway's source in a replay."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.record.integrity import check_replies
from curation_harness.replay.compare import NOT_SHOWN, Difference, compare
from curation_harness.replay.denials import Denials
from curation_harness.replay.lanes import Lanes, Taken
from curation_harness.replay.verdict import RequestReplay
from curation_sandbox.gateway.desk import ProviderFailed, Reply, ReplyCut, ReplyRefused
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.passing import BROKE_OFF, NO_FAULT


class RecordedSource:
    """``ReplySource`` of a recorded run. No key, no network: every reply is one that was given before."""

    def __init__(self, log: ExchangeLog) -> None:
        """Reads the whole record once.

        Raises:
            RecordInvalid: a recorded request or reply is damaged; with the file's name.
        """
        check_replies(log)
        self._log = log
        self._lanes = Lanes(log)
        self._denials = Denials(log)
        self._admitted: dict[int, Taken | None] = {}
        """What a request gets that ``denied`` let through, by its number."""
        self._lock = threading.Lock()
        self._known: set[Difference] = set()
        self.requests: list[RequestReplay] = []
        """One for each request that was asked in the replay, in order."""
        self.damage: RecordInvalid | None = None
        """A file of the record that was damaged since it was checked: what came of the replay means nothing."""

    def denied(self, ask: Ask) -> str | None:
        """The words with which a spent budget refused this request in the recorded run; None: it was let through
        then, or the record does not have it. The recorded run's parallel requests overshot their limits as they
        happened to; counted anew, others would be refused."""
        if not self._denials:
            return None
        with self._lock:
            words = self._denials.words(self._lanes, ask.path, ask.body)
            if words is None:  # taken here, so that of two at once only one gets a conversation's last reply
                self._admitted[ask.id] = self._lanes.take(ask.path, ask.body)
            return words

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[Reply]:
        try:
            entry = await asyncio.to_thread(self._take, ask)  # long texts take a while; other replies go on
            pieces = [] if entry is None else await asyncio.to_thread(list, self._log.chunks(entry))
        except RecordInvalid as damage:
            self.damage = damage
            raise ReplyRefused("the record is damaged: the replay ends here") from damage
        if entry is None:
            raise ReplyRefused("the record has no reply to this request: the replay went another way")
        if entry.outcome == "provider-error":
            why = entry.reason.removesuffix(NO_FAULT)  # the gateway says it again
            raise ProviderFailed(why, status=entry.status, tries=entry.tries)
        yield Reply(entry.status, entry.response_headers, _passed(entry, pieces), entry.tries)

    async def close(self) -> None:
        return None

    def left(self) -> tuple[int, ...]:
        """Numbers of recorded exchanges that the replay did not ask for."""
        return tuple(entry.id for entry in self._lanes.left())

    def _take(self, ask: Ask) -> ExchangeEntry | None:
        with self._lock:
            admitted = ask.id in self._admitted
            taken = self._admitted.pop(ask.id) if admitted else self._lanes.take(ask.path, ask.body)
            if taken is None:
                found = Difference("extra", after=ask.body[:200].decode("utf-8", "replace"))
                self.requests.append(RequestReplay(recorded=None, **found._asdict()))
                return None
            entry = taken.entry
            assert entry.sent is not None
            found = compare(self._log.body(entry.sent), ask.body, self._known)
            if not taken.in_order and found.kind in NOT_SHOWN:
                found = Difference("order")
            self.requests.append(RequestReplay(recorded=entry.id, **found._asdict()))
            return entry


async def _passed(entry: ExchangeEntry, pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    """The recorded pieces, without the waiting between them."""
    for piece in pieces:
        yield piece
    if entry.reason.startswith(BROKE_OFF) or entry.outcome == "client-gone":
        raise ReplyCut(entry.reason.removeprefix(f"{BROKE_OFF}: "))
