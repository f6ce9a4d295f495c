"""Replies out of a record: the gateway's source in a replay."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.replay.compare import NOT_SHOWN, Difference, compare
from curation_harness.replay.lanes import Lanes
from curation_harness.replay.verdict import RequestReplay
from curation_sandbox.gateway.desk import ProviderFailed, Reply, ReplyCut, ReplyRefused
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.passing import BROKE_OFF, NO_FAULT


class RecordedSource:
    """``ReplySource`` of a recorded run. No key, no network: every reply is one that was given before."""

    def __init__(self, log: ExchangeLog) -> None:
        self._log = log
        self._lanes = Lanes(log)
        self._lock = threading.Lock()
        self._known: set[Difference] = set()
        self.requests: list[RequestReplay] = []
        """One for each request that was asked in the replay, in order."""

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[Reply]:
        entry = await asyncio.to_thread(self._take, ask)  # long texts take a while; other replies go on
        if entry is None:
            raise ReplyRefused("the record has no reply to this request: the replay went another way")
        if entry.outcome == "provider-error":
            why = entry.reason.removesuffix(NO_FAULT)  # the gateway says it again
            raise ProviderFailed(why, status=entry.status, tries=entry.tries)
        yield Reply(entry.status, entry.response_headers, self._pieces(entry), entry.tries)

    async def close(self) -> None:
        return None

    def left(self) -> tuple[int, ...]:
        """Numbers of recorded exchanges that the replay did not ask for."""
        return tuple(entry.id for entry in self._lanes.left())

    def _take(self, ask: Ask) -> ExchangeEntry | None:
        with self._lock:
            taken = self._lanes.take(ask.path, ask.body)
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

    async def _pieces(self, entry: ExchangeEntry) -> AsyncIterator[bytes]:
        """The recorded pieces, without the waiting between them."""
        for piece in self._log.chunks(entry):
            yield piece
        if entry.reason.startswith(BROKE_OFF) or entry.outcome == "client-gone":
            raise ReplyCut(entry.reason.removeprefix(f"{BROKE_OFF}: "))
