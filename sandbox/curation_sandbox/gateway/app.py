"""The gateway's application: from a request of the container to one complete ``Exchange``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from curation_sandbox.gateway import bodies, headers, replies
from curation_sandbox.gateway.bodies import BodyRefused, BodyRoom, BodyShare
from curation_sandbox.gateway.desk import GatewayDesk, ModelPins, ReplySource
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.filters import Refused, filter_body
from curation_sandbox.gateway.passing import BROKE_OFF, GONE, MAX_REPLY, Passing, send_whole
from curation_sandbox.gateway.recorder import BrokenOff, Recorder, Stop, Trace
from curation_sandbox.gateway.wires import Endpoint, Wire, endpoint
from curation_sandbox.submit_guard import FAILED, Reject

ROOM: Final = 128 * 2**20
"""Bytes of all request bodies under way together."""
AT_ONCE: Final = 16
"""Requests at the provider at a time; further ones wait."""
LARGE: Final = 256 * 1024
"""Bytes of a body from which it is read outside the event loop, one at a time: reading takes a multiple of the
body's size in memory, and time in which other streams would stand still."""

__all__ = ["AT_ONCE", "BROKE_OFF", "LARGE", "MAX_REPLY", "ROOM", "Gateway"]


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
        self._source = source
        self._pins = pins
        self._desk = desk
        self._next_id = first_id
        self._on_error = on_error
        self._room = BodyRoom(ROOM)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._recorder = Recorder(desk, on_error)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-read")
        self.in_flight = 0
        self.last = time.monotonic()
        """When an exchange last began or ended."""

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):  # exchanges that the server's end has cancelled come to their record
                while self.in_flight:
                    await asyncio.sleep(0.01)
        await self._source.close()
        await self._recorder.close()
        self._reader.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1")
        found = endpoint(scope["method"], path)
        if found is not None and found.kind in ("hello", "models"):
            await self._answer_here(found, send)
            return
        trace = self._new_trace(scope, path, found)
        self.in_flight += 1
        self.last = time.monotonic()
        passing = Passing(self._source, self._desk, self._slots, self._recorder, trace, send)
        try:
            await self._serve(trace, found, Request(scope, receive), passing, send)
        except BrokenOff:
            if passing.started:
                raise
            with contextlib.suppress(OSError):
                await send_whole(send, 500, _JSON, replies.error(trace.wire, 500, FAILED))
        finally:
            self.in_flight -= 1
            self.last = time.monotonic()

    async def _answer_here(self, found: Endpoint, send: Send) -> None:
        body = b"" if found.kind == "hello" else replies.models(self._pins.models)
        await send_whole(send, 200, _JSON, body)

    def _new_trace(self, scope: Scope, path: str, found: Endpoint | None) -> Trace:
        query = scope["query_string"]
        kept = "?beta=true" if found and found.wire is Wire.MESSAGES and query == b"beta=true" else ""
        trace = Trace(
            id=self._next_id,
            method=scope["method"][:20],
            path=path[:500] + kept,
            wire=found.wire if found else None,
            kind=found.kind if found else "unknown",
        )
        self._next_id += 1
        if query and not kept:
            trace.changes.append("the query string was removed")
        return trace

    async def _serve(
        self, trace: Trace, found: Endpoint | None, request: Request, passing: Passing, send: Send
    ) -> None:
        """One exchange, from its body to its record, whatever happens.

        Raises:
            BrokenOff: the client is still to be told that we failed, or to be cut off.
        """
        with self._room.share() as share:  # until it is on record: what waits for a slow disk takes memory too
            try:
                await passing.run(await self._ask(trace, found, request, share), request)
            except ClientDisconnect:
                await self._recorder.finish(trace, "client-gone", GONE)
            except Stop as stop:
                await self._stopped(trace, stop, send, started=passing.started)
            except BrokenOff:
                raise
            except Reject as slow:
                await self._stopped(trace, Stop("refused", slow.status_code, slow.detail), send, started=False)
            except asyncio.CancelledError:
                await self._recorder.finish(trace, "client-gone", "the gateway was stopped")
                raise
            except Exception:  # a bug of ours: the agent is told so, and the trace goes to the host
                self._on_error(traceback.format_exc())
                await self._stopped(trace, Stop("ours", 500, FAILED), send, started=passing.started)

    async def _ask(self, trace: Trace, found: Endpoint | None, request: Request, share: BodyShare) -> Ask:
        """What is to be sent on.

        Raises:
            Stop: the rules say no.
            ClientDisconnect, Reject: the body did not come.
        """
        if found is None or found.wire is None or found.kind not in ("generate", "count"):
            message = f"{trace.method} {trace.path[:200]} is not served here: this is a model gateway"
            raise Stop("refused", 404, message)
        if not self._pins.speaks(found.wire):
            raise Stop("refused", 404, f"{trace.path[:200]}: this run's program speaks another API than this one")
        kind: Literal["generate", "count"] = "count" if found.kind == "count" else "generate"
        try:
            trace.request = await bodies.read(request, share)
            if len(trace.request) < LARGE:
                body, stream = self._rewritten(trace, found.wire, kind)
            else:
                loop = asyncio.get_running_loop()
                body, stream = await loop.run_in_executor(self._reader, self._rewritten, trace, found.wire, kind)
        except BodyRefused as refused:
            trace.request = trace.request or refused.body
            raise Stop("refused", refused.status, str(refused)) from None
        except Refused as refused:
            raise Stop("refused", 400, str(refused)) from None
        trace.request_headers, dropped = headers.for_provider(request.headers, found.wire, stream=stream)
        trace.changes += dropped
        return Ask(
            id=trace.id,
            method=found.method,
            path=trace.path,
            kind=kind,
            wire=found.wire,
            model_asked=trace.model_asked,
            model=trace.model,
            headers=trace.request_headers,
            body=body,
            stream=stream,
        )

    def _rewritten(self, trace: Trace, wire: Wire, kind: Literal["generate", "count"]) -> tuple[bytes, bool]:
        """The body with the pinned model and only what may be asked for, and whether it asks for a stream.

        Raises:
            BodyRefused, Refused
        """
        tree = bodies.parse(trace.request)
        self._pin(trace, tree)
        filtered = filter_body(wire, kind, tree)
        del tree
        trace.changes += filtered.changes
        kept = {**filtered.body, "model": trace.model}
        try:
            text = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            raise BodyRefused(400, "the body holds half of a surrogate pair, which is no text") from None
        return text, kept.get("stream") is True

    def _pin(self, trace: Trace, tree: dict[str, Any]) -> None:
        asked = tree.get("model")
        if not isinstance(asked, str) or not asked:
            raise BodyRefused(400, "model: the name of a model is needed")
        trace.model_asked = asked[:200].encode("utf-8", "replace").decode()
        trace.model = self._pins.resolve(asked)
        if trace.model is None:
            allowed = ", ".join(self._pins.models)
            raise BodyRefused(400, f"model: {asked[:100]!r} is not one of this run's: {allowed}")

    async def _stopped(self, trace: Trace, stop: Stop, send: Send, *, started: bool) -> None:
        """End an exchange with a reply of ours, or, where the provider's has begun, by breaking off."""
        body = b"" if started else replies.error(trace.wire, stop.status, str(stop))
        if not started:
            trace.status = stop.status
            trace.response_headers = dict(_JSON)
            trace.chunks.clear()  # of a reply that was held back and then broke off
            trace.add(body)
        await self._recorder.finish(trace, stop.outcome, str(stop))
        if started:
            raise BrokenOff
        later = stop.outcome in ("provider-error", "ours", "cut") or stop.status == 503
        again = {} if later else replies.NO_RETRY
        with contextlib.suppress(OSError):
            await send_whole(send, stop.status, {**trace.response_headers, **again}, body)


_JSON: Final = {"content-type": "application/json"}
