"""An exchange in the making, and the one thread that hands finished ones to the desk."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from curation_sandbox.gateway.desk import GatewayDesk
from curation_sandbox.gateway.exchange import Chunk, Exchange, Outcome, Usage
from curation_sandbox.gateway.usage import UsageReader
from curation_sandbox.gateway.wires import Wire


class Stop(Exception):
    """Ends an exchange with a reply of the gateway's own."""

    def __init__(self, outcome: Outcome, status: int, message: str) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.status = status


class BrokenOff(Exception):
    """The reply cannot be completed: the connection is closed on it. What there is to tell was told."""


@dataclass
class Trace:
    """What is known of an exchange so far."""

    id: int
    method: str
    path: str
    wire: Wire | None
    kind: str
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    model_asked: str | None = None
    model: str | None = None
    request_headers: dict[str, str] = field(default_factory=dict)
    request: bytes = b""
    sent: bytes | None = None
    changes: list[str] = field(default_factory=list)
    status: int = 0
    response_headers: dict[str, str] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)
    tries: int = 0
    usage: UsageReader | None = None
    ending: asyncio.Task[bool] | None = None
    """Set once: an exchange is handed over one time, however many reasons there are to end it."""

    def add(self, data: bytes) -> None:
        self.chunks.append(Chunk(time.monotonic() - self.clock, data))

    def exchange(self, outcome: Outcome, reason: str) -> Exchange:
        return Exchange(
            id=self.id,
            began=self.began,
            method=self.method,
            path=self.path,
            wire=self.wire,
            kind=self.kind,
            model_asked=self.model_asked,
            model=self.model,
            request_headers=self.request_headers,
            request=self.request,
            sent=self.sent,
            changes=tuple(self.changes),
            status=self.status,
            response_headers=self.response_headers,
            chunks=tuple(self.chunks),
            outcome=outcome,
            reason=reason,
            usage=self._usage(outcome),
            tries=self.tries,
            seconds=time.monotonic() - self.clock,
        )

    def _usage(self, outcome: Outcome) -> Usage | None:
        """The provider's figures; where its last ones did not come, at least what it must have read and written.
        Without that, an agent that hangs up before the end would have its tokens for nothing."""
        told = self.usage.usage() if self.usage is not None else None
        generated = self.kind == "generate" and self.sent is not None and self.status < 400
        broken = outcome in ("client-gone", "cut")
        if not generated or outcome not in ("ok", "client-gone", "cut") or (told is not None and not broken):
            return told
        if self.usage is not None and self.usage.finished and told is not None:
            return told
        known = told or Usage(input=len(self.sent or b"") // 4)
        written = self.usage.tokens_seen if self.usage is not None else 0
        return replace(known, output=max(known.output, written), estimated=True)


class Recorder:
    """Calls ``GatewayDesk.finished`` in a thread of its own, one exchange after the other."""

    def __init__(self, desk: GatewayDesk, on_error: Callable[[str], None]) -> None:
        self._desk = desk
        self._on_error = on_error
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-record")
        self._under_way: set[asyncio.Task[bool]] = set()

    async def finish(self, trace: Trace, outcome: Outcome, reason: str) -> None:
        """Returns when the exchange is on record; it goes there even if the caller is cancelled meanwhile, and a
        second call for it only waits.

        Raises:
            BrokenOff: the desk failed, which ``on_error`` was told.
        """
        if trace.ending is None:
            trace.ending = asyncio.create_task(self._hand_over(trace.exchange(outcome, reason)))
            self._under_way.add(trace.ending)
            trace.ending.add_done_callback(self._under_way.discard)
        if not await asyncio.shield(trace.ending):
            raise BrokenOff

    async def _hand_over(self, exchange: Exchange) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._desk.finished, exchange)
        except Exception:  # the upper layer's, and it may be anything: a full disk, a bug
            self._on_error(traceback.format_exc())
            return False
        return True

    async def close(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._thread.shutdown()
