"""One request on its way to the provider, and the reply on its way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Send

from curation_sandbox.gateway import headers
from curation_sandbox.gateway.desk import GatewayDesk, ProviderFailed, Reply, ReplyCut, ReplyRefused, ReplySource
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.recorder import Recorder, Stop, Trace
from curation_sandbox.gateway.usage import UsageReader

MAX_REPLY: Final = 64 * 2**20
"""Bytes of one reply, all of which are kept for the record."""
GONE: Final = "the agent's program hung up"
TAIL_SECONDS: Final = 5.0
"""How long a stream may go on after its proper end."""
BROKE_OFF: Final = "the provider's reply broke off"
"""How the reason of a ``cut`` exchange begins whose connection was closed on the client. No error event is put in
between: all three programs ask again by themselves after a connection that ends early, and not after every error
event (Claude Code 2.1.329, Codex 0.169.0, OpenHands SDK 1.58.0)."""

DRAIN_SECONDS: Final = 60.0
"""How long the reply to a client that hung up is read on for the provider's figures, which come last. What it costs
is counted, whoever still listens."""
NO_FAULT: Final = "; this is no fault of the request"
"""How the reason of a ``provider-error`` ends, which the agent's program is told."""


class Passing:
    """Sends one request on and passes the reply back."""

    def __init__(
        self,
        source: ReplySource,
        desk: GatewayDesk,
        slots: asyncio.Semaphore,
        recorder: Recorder,
        trace: Trace,
        send: Send,
    ) -> None:
        self._source = source
        self._desk = desk
        self._slots = slots
        self._recorder = recorder
        self._trace = trace
        self._send = send
        self._gone = False
        self.started = False
        """Whether the client has the first bytes of the reply."""

    async def run(self, ask: Ask, request: Request) -> None:
        """Until the reply is through or the client has hung up.

        Raises:
            ClientDisconnect, Stop, BrokenOff
        """
        work = asyncio.create_task(self._pass(ask))
        gone = asyncio.create_task(_hung_up(request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._gone = True
                if self._trace.sent is not None:
                    await asyncio.wait((work,), timeout=DRAIN_SECONDS)
                raise ClientDisconnect
            work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _pass(self, ask: Ask) -> None:
        try:
            async with self._slots:
                await self._admit(ask)
                async with self._source.open(ask) as reply:
                    await self._stream(reply)
        except ProviderFailed as failed:
            self._trace.tries = failed.tries
            raise Stop("provider-error", 503, f"{failed}{NO_FAULT}") from None
        except ReplyRefused as refused:
            raise Stop("refused", 400, str(refused)) from None
        except ReplyCut as cut:
            raise Stop("cut", 502, f"{BROKE_OFF}: {cut}") from None

    async def _admit(self, ask: Ask) -> None:
        """Asked here and not before: while a request waits for its turn, others spend what there is.

        In a thread, since the desk writes to disk; as sent from its beginning on, so that what was admitted is
        counted as such if the client hangs up meanwhile.
        """
        self._trace.sent = ask.body
        try:
            denied = await asyncio.to_thread(self._desk.admit, ask)
        except Exception:
            self._trace.sent = None
            raise
        if denied is not None:
            self._trace.sent = None
            raise Stop("budget", 400, denied)

    async def _stream(self, reply: Reply) -> None:
        """Pass the reply on piece by piece. Its end waits until the exchange is on record."""
        trace = self._trace
        trace.tries, trace.status = reply.tries, reply.status
        trace.response_headers = headers.for_client(reply.headers)
        events = reply.headers.get("content-type", "").startswith("text/event-stream")
        assert trace.wire is not None
        trace.usage = UsageReader(trace.wire, events)
        held: list[bytes] = []
        async for piece in self._pieces(reply.body, trace.usage):
            trace.add(piece)
            trace.usage.feed(piece)
            if held or not events or trace.usage.finished:
                held.append(piece)
            else:
                await self._begin()
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if self._gone:
            await self._recorder.finish(trace, "client-gone", GONE)
        elif trace.usage.failure is not None and reply.status < 400:
            await self._recorder.finish(trace, "cut", f"the provider failed within its reply: {trace.usage.failure}")
        elif events and not trace.usage.finished:
            await self._recorder.finish(trace, "cut", "the stream ended before its last event")
        else:
            await self._recorder.finish(trace, "ok", "")
        await self._begin()
        await self._send({"type": "http.response.body", "body": b"".join(held)})

    async def _pieces(self, body: AsyncIterator[bytes], reader: UsageReader) -> AsyncIterator[bytes]:
        size = 0
        end: float | None = None
        while True:
            if reader.finished and end is None:
                end = asyncio.get_running_loop().time() + TAIL_SECONDS
            try:
                async with asyncio.timeout_at(end):
                    piece = await anext(body)
            except (StopAsyncIteration, TimeoutError):
                return
            size += len(piece)
            if size > MAX_REPLY:
                raise ReplyCut(f"it is longer than {MAX_REPLY} bytes")
            if piece:
                yield piece

    async def _begin(self) -> None:
        if not self.started:
            self.started = True
            await self._send(_start(self._trace.status, self._trace.response_headers))


async def _hung_up(request: Request) -> None:
    """Returns when the client's connection is gone; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def send_whole(send: Send, status: int, given: dict[str, str], body: bytes) -> None:
    await send(_start(status, {**given, "content-length": str(len(body))}))
    await send({"type": "http.response.body", "body": body})


def _start(status: int, given: dict[str, str]) -> dict[str, Any]:
    pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in given.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}
