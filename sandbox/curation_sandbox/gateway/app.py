"""The gateway's application: from a request of the container to one complete ``Exchange``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from curation_sandbox.gateway import bodies, headers, replies
from curation_sandbox.gateway.bodies import BodyRefused, BodyRoom
from curation_sandbox.gateway.desk import (
    GatewayDesk,
    ModelPins,
    ProviderFailed,
    Reply,
    ReplyCut,
    ReplyRefused,
    ReplySource,
)
from curation_sandbox.gateway.exchange import Ask, Chunk, Exchange, Outcome
from curation_sandbox.gateway.filters import Refused, filter_body
from curation_sandbox.gateway.usage import UsageReader
from curation_sandbox.gateway.wires import Endpoint, Wire, endpoint
from curation_sandbox.submit_guard import FAILED, Reject

ROOM: Final = 128 * 2**20
"""Bytes of all request bodies under way together."""
MAX_REPLY: Final = 64 * 2**20
"""Bytes of one reply, all of which are kept for the record."""
AT_ONCE: Final = 16
"""Requests at the provider at a time; further ones wait."""
TAIL_SECONDS: Final = 5.0
"""How long a stream may go on after its proper end."""


BROKE_OFF: Final = "the provider's reply broke off"
"""How the reason of a ``cut`` exchange begins whose connection was closed on the client."""


class _Stop(Exception):
    """Ends an exchange with a reply of the gateway's own."""

    def __init__(self, outcome: Outcome, status: int, message: str) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.status = status


@dataclass
class _Trace:
    """An exchange in the making."""

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
            usage=self.usage.usage() if self.usage else None,
            tries=self.tries,
            seconds=time.monotonic() - self.clock,
        )


class Gateway:
    """The ASGI application. All state belongs to one event loop."""

    def __init__(
        self,
        source: ReplySource,
        pins: ModelPins,
        desk: GatewayDesk,
        *,
        first_id: int,
        on_error: Callable[[str], None],
    ) -> None:
        self.source = source
        self._pins = pins
        self._desk = desk
        self._next_id = first_id
        self._on_error = on_error
        self._room = BodyRoom(ROOM)
        self.slots = asyncio.Semaphore(AT_ONCE)
        # one thread: exchanges are recorded one after the other, and the loop goes on meanwhile
        self._recorder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-record")
        self.in_flight = 0
        self.last = time.monotonic()
        """When an exchange last began or ended."""

    async def close(self) -> None:
        await self.source.close()
        self._recorder.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        found = endpoint(scope["method"], path)
        if found is not None and found.kind in ("hello", "models"):
            await self._answer_here(found, send)
            return
        query = "?beta=true" if found is not None and scope["query_string"] == b"beta=true" else ""
        trace = _Trace(
            id=self._next_id,
            method=scope["method"][:20],
            path=(path[:500] + query),
            wire=found.wire if found else None,
            kind=found.kind if found else "unknown",
        )
        self._next_id += 1
        if scope["query_string"] and not query:
            trace.changes.append("the query string was removed")
        self.in_flight += 1
        self.last = time.monotonic()
        try:
            await self._serve(trace, found, Request(scope, receive), send)
        finally:
            self.in_flight -= 1
            self.last = time.monotonic()

    async def _answer_here(self, found: Endpoint, send: Send) -> None:
        body = b"" if found.kind == "hello" else replies.models(self._pins.models)
        await _send(send, 200, {"content-type": "application/json"}, body)

    async def _serve(self, trace: _Trace, found: Endpoint | None, request: Request, send: Send) -> None:
        """One exchange, from its body to its record, whatever happens."""
        passing = _Passing(self, trace, send)
        try:
            with self._room.share() as share:
                ask = await self._ask(trace, found, request, share)
                await passing.run(ask, request)
        except ClientDisconnect:
            await self.record(trace, "client-gone", "the agent's program hung up")
        except _Stop as stop:
            await self._stopped(trace, stop, send, started=passing.started)
        except _BrokenOff:
            raise
        except Reject as slow:
            await self._stopped(trace, _Stop("refused", slow.status_code, slow.detail), send, started=False)
        except asyncio.CancelledError:
            await asyncio.shield(self.record(trace, "client-gone", "the gateway was stopped"))
            raise
        except Exception:
            self._on_error(traceback.format_exc())
            await self._stopped(trace, _Stop("ours", 500, FAILED), send, started=passing.started)

    async def _ask(self, trace: _Trace, found: Endpoint | None, request: Request, share: bodies.BodyShare) -> Ask:
        """What is to be sent on.

        Raises:
            _Stop: the rules or a budget say no.
        """
        if found is None or found.wire is None or found.kind not in ("generate", "count"):
            message = f"{trace.method} {trace.path[:200]} is not served here: this is a model gateway"
            raise _Stop("refused", 404, message)
        try:
            trace.request = await bodies.read(request, share)
            tree = bodies.parse(trace.request)
            self._pin(trace, tree)
            filtered = filter_body(found.wire, "count" if found.kind == "count" else "generate", tree)
        except BodyRefused as refused:
            trace.request = trace.request or refused.body
            raise _Stop("refused", refused.status, str(refused)) from None
        except Refused as refused:
            raise _Stop("refused", 400, str(refused)) from None
        trace.changes += filtered.changes
        stream = filtered.body.get("stream") is True
        trace.request_headers, dropped = headers.for_provider(request.headers, found.wire, stream=stream)
        trace.changes += dropped
        body = json.dumps({**filtered.body, "model": trace.model}, ensure_ascii=False, separators=(",", ":"))
        ask = Ask(
            id=trace.id,
            method=found.method,
            path=trace.path,
            kind="count" if found.kind == "count" else "generate",
            wire=found.wire,
            model_asked=trace.model_asked,
            model=trace.model,
            headers=trace.request_headers,
            body=body.encode("utf-8", "surrogatepass"),
            stream=stream,
        )
        denied = self._desk.admit(ask)
        if denied is not None:
            raise _Stop("budget", 400, denied)
        trace.sent = ask.body
        return ask

    def _pin(self, trace: _Trace, tree: dict[str, Any]) -> None:
        asked = tree.get("model")
        if not isinstance(asked, str) or not asked:
            raise BodyRefused(400, "model: the name of a model is needed", trace.request)
        trace.model_asked = asked[:200]
        trace.model = self._pins.resolve(asked)
        if trace.model is None:
            allowed = ", ".join(self._pins.models)
            raise BodyRefused(400, f"model: {asked[:100]!r} is not one of this run's: {allowed}", trace.request)

    async def _stopped(self, trace: _Trace, stop: _Stop, send: Send, *, started: bool) -> None:
        """End an exchange with a reply of ours, or, where the provider's has begun, by breaking off."""
        body = b"" if started else replies.error(trace.wire, stop.status, str(stop))
        if not started:
            trace.status = stop.status
            trace.response_headers = {"content-type": "application/json"}
            trace.add(body)
        await self.record(trace, stop.outcome, str(stop))
        if started:
            raise _BrokenOff
        again = {} if stop.outcome in ("provider-error", "ours") else replies.NO_RETRY
        with contextlib.suppress(OSError):
            await _send(send, stop.status, {**trace.response_headers, **again}, body)

    async def record(self, trace: _Trace, outcome: Outcome, reason: str) -> None:
        """Hand the exchange to the desk; what it raises is ours."""
        exchange = trace.exchange(outcome, reason)
        try:
            await asyncio.get_running_loop().run_in_executor(self._recorder, self._desk.finished, exchange)
        except Exception:
            self._on_error(traceback.format_exc())
            raise _BrokenOff from None


class _BrokenOff(Exception):
    """The reply cannot be completed: the connection is closed on it. What there is to tell was told."""


class _Passing:
    """Sends one request on and passes the reply back."""

    def __init__(self, gateway: Gateway, trace: _Trace, send: Send) -> None:
        self._gateway = gateway
        self._trace = trace
        self._send = send
        self.started = False

    async def run(self, ask: Ask, request: Request) -> None:
        """Until the reply is through or the client has hung up.

        Raises:
            ClientDisconnect, _Stop, _BrokenOff
        """
        work = asyncio.create_task(self._pass(ask))
        gone = asyncio.create_task(_hung_up(request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _pass(self, ask: Ask) -> None:
        try:
            async with self._gateway.slots, self._gateway.source.open(ask) as reply:
                await self._stream(reply)
        except ProviderFailed as failed:
            self._trace.tries = failed.tries
            raise _Stop("provider-error", 503, f"{failed}; this is no fault of the request") from None
        except ReplyRefused as refused:
            raise _Stop("refused", 400, str(refused)) from None
        except ReplyCut as cut:
            raise _Stop("cut", 502, f"{BROKE_OFF}: {cut}") from None

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
        if events and not trace.usage.finished:
            await self._gateway.record(trace, "cut", "the stream ended before its last event")
        else:
            await self._gateway.record(trace, "ok", "")
        await self._begin()
        await self._send({"type": "http.response.body", "body": b"".join(held)})

    async def _pieces(self, body: AsyncIterator[bytes], reader: UsageReader) -> AsyncIterator[bytes]:
        size = 0
        while True:
            try:
                async with asyncio.timeout(TAIL_SECONDS if reader.finished else None):
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


async def _send(send: Send, status: int, given: dict[str, str], body: bytes) -> None:
    await send(_start(status, {**given, "content-length": str(len(body))}))
    await send({"type": "http.response.body", "body": body})


def _start(status: int, given: dict[str, str]) -> dict[str, Any]:
    pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in given.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}
