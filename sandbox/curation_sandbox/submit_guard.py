"""What stands between the agent's bytes and the submit server's endpoints.

Three guards, from the outside in: ``guarded_protocol`` holds connections to their limits (how many, how slow
their headers, how slowly they read), ``Gate`` holds requests to theirs (rate, size and slowness of bodies)
and catches what is left, ``strict_json`` reads JSON without the liberties that Python's reader takes.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import h11
from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from curation_sandbox.protocol import PROTOCOL_VERSION, ErrorReply

OnError = Callable[[str], None]
"""Told the full traceback of a failure of ours."""

FAILED = "the harness failed, not your request; the host was told. Try again later."

_CLOSING_SECONDS = 0.3
"""When the server stops: how long a connection without a running request may take to close."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one agent may ask of the submit server. Sizes in bytes, times in seconds."""

    json_bytes: int = 256 * 1024
    """Largest JSON body."""
    policy_bytes: int = 8 * 1024 * 1024
    """All files of a submission's policy together."""
    header_bytes: int = 16 * 1024
    """Request line and headers together."""
    header_seconds: float = 10.0
    """From the first moment of a request to the end of its headers."""
    idle_seconds: float = 15.0
    """Longest pause inside a body, and longest pause in reading a reply."""
    body_seconds: float = 120.0
    """From the end of the headers to the end of the body."""
    keep_alive_seconds: int = 30
    """How long a connection may stay open between requests."""
    wait_seconds: float = 600.0
    """Cap on ``wait`` of a long poll."""
    poll_seconds: float = 0.1
    """How often a long poll looks."""
    connections: int = 64
    """Open at a time; one more is told ``busy``."""
    requests_per_second: float = 200.0
    """Sustained; faster requests are slowed down, not refused."""
    burst: int = 500
    """Requests that may come at once before that."""
    stop_seconds: int = 5
    """How long a handler call in progress may hold up the server's stop."""


class Reject(HTTPException):
    """Ends a request with an ``ErrorReply``."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(status, message)
        self.error = error


def error_body(error: str, message: str) -> bytes:
    return ErrorReply(error=error, message=message).model_dump_json().encode()


def strict_json(body: bytes) -> Any:
    """Parse a JSON body; ValueError with a readable reason for everything that two readers could read
    differently: invalid UTF-8, duplicate keys, NaN and infinities, numbers and nesting without bound."""
    try:
        return json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short_int,
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} (character {error.pos})") from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the body has an object with the same key twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"the body holds {name}, which is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("the body holds a number that is too large")
    return value


def _short_int(text: str) -> int:
    if len(text) > 20:
        raise ValueError("the body holds a number that is too large")
    return int(text)


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, limits: Limits, on_error: OnError) -> None:
        self._app = app
        self._limits = limits
        self._on_error = on_error
        self._tokens = float(limits.burst)
        self._filled = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await self._pace()
        wrong = _TWO_LENGTHS if _two_lengths(scope) else self._too_long(scope)
        if wrong:
            await send({"type": "http.response.start", "status": 400, "headers": _CLOSED})
            await send({"type": "http.response.body", "body": error_body("bad-request", wrong)})
            return
        exchange = _Exchange(scope, receive, send, self._limits)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            if not exchange.started:  # else the application reported and answered, and only then raised
                self._on_error(traceback.format_exc())
                await exchange.fail()

    def _too_long(self, scope: Scope) -> str:
        """h11 holds headers to their size only while they are incomplete; some come whole."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        return _NO_REQUEST.format(self._limits.header_bytes) if size > self._limits.header_bytes else ""

    async def _pace(self) -> None:
        """Take a token of the bucket, waiting for it; the cap on connections bounds how many wait."""
        now = asyncio.get_running_loop().time()
        refill = (now - self._filled) * self._limits.requests_per_second
        self._tokens = min(float(self._limits.burst), self._tokens + refill)
        self._filled = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._limits.requests_per_second)


_CLOSED = [(b"content-type", b"application/json"), (b"connection", b"close")]
_TWO_LENGTHS = "a request may have content-length or transfer-encoding, not both."


def _two_lengths(scope: Scope) -> bool:
    """Whether two readers could see the request's end in two places; the connection must be closed after such a one
    (RFC 9112, 6.3)."""
    names = [name for name, _ in scope["headers"]]
    return b"transfer-encoding" in names and b"content-length" in names


class _Exchange:
    """One request and its reply, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        # Only blobs are larger; their store counts them.
        self._room = None if scope["method"] == "PUT" else limits.json_bytes
        self._deadline = asyncio.get_running_loop().time() + limits.body_seconds
        self._body_done = False
        self.started = False

    async def receive(self) -> Message:
        if self._body_done:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(self._deadline, now + self._limits.idle_seconds)):
                message = await self._receive()
        except TimeoutError:
            raise Reject(
                408, "too-slow", "the body came too slowly and the connection was closed: send it again."
            ) from None
        if message["type"] == "http.request":
            self._body_done = not message.get("more_body", False)
            if self._room is not None:
                self._room -= len(message.get("body", b""))
                if self._room < 0:
                    raise Reject(413, "too-large", f"a JSON body may have {self._limits.json_bytes} bytes at most.")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = list(message.get("headers", []))
            headers.append((b"curation-protocol", PROTOCOL_VERSION.encode()))
            if not self._body_done:
                # What is left of the body is not wanted; nor would the next request be found behind it.
                await self._drained()
            if not self._body_done:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)

    async def _drained(self) -> None:
        """Note the end of a body that is complete already (every GET), without waiting for it."""
        try:
            async with asyncio.timeout(0):
                message = await self._receive()
        except TimeoutError:
            return
        self._body_done = message["type"] == "http.disconnect" or not message.get("more_body", False)

    async def fail(self) -> None:
        """Answer 500 where the application, which answers for its own failures, did not."""
        await self.send({"type": "http.response.start", "status": 500, "headers": list(_CLOSED)})
        await self.send({"type": "http.response.body", "body": error_body("ours", FAILED)})


def _raw_reply(status: str, error: str, message: str) -> bytes:
    """A whole HTTP reply, for the places where no request could be parsed."""
    body = error_body(error, message)
    lines = [
        f"HTTP/1.1 {status}",
        f"curation-protocol: {PROTOCOL_VERSION}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


_BUSY = _raw_reply("503 Service Unavailable", "busy", "too many connections are open: close some.")
_SLOW = _raw_reply("408 Request Timeout", "too-slow", "the headers came too slowly and the connection was closed.")


_NO_REQUEST = "this is not an HTTP/1.1 request with headers of at most {} bytes."


def guarded_protocol(limits: Limits, on_turned_away: Callable[[], None] | None = None) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1 protocol with the limits on connections that it lacks.

    Args:
        on_turned_away: called for each connection that was ended before there was a request to answer.
    """

    class GuardedProtocol(H11Protocol):
        _head: TimerHandle | None = None
        _stall: TimerHandle | None = None

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._end(_BUSY)
            else:
                self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel((self._head, self._stall))
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            super().data_received(data)
            self._watch_head()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch_head()

        def _watch_head(self) -> None:
            """Run a timer exactly while a request's headers are awaited. Between requests uvicorn's own
            keep-alive timer runs, but the first byte after it would end all watching."""
            idle = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
            waiting = idle and (self.cycle is None or self.conn.trailing_data[0] != b"")
            if waiting and self._head is None:
                self._head = self.loop.call_later(limits.header_seconds, self._end, _SLOW)
            elif not waiting and self._head is not None:
                self._head.cancel()
                self._head = None

        def send_400_response(self, msg: str) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                if self.cycle.response_started:
                    self.transport.abort()
                    return
            self._end(_raw_reply("400 Bad Request", "bad-request", _NO_REQUEST.format(limits.header_bytes)))

        def _end(self, reply: bytes) -> None:
            if not self.transport.is_closing():
                if on_turned_away is not None:
                    on_turned_away()
                self.transport.write(reply)
                self.transport.close()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stall = self.loop.call_later(limits.idle_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            _cancel((self._stall,))
            super().resume_writing()

        def shutdown(self) -> None:
            """The server stops: only a request that arrived whole may keep a connection."""
            at_work = self.cycle is not None and not self.cycle.response_complete
            if at_work and not self.cycle.more_body and not self.flow.write_paused:
                self.cycle.keep_alive = False
                return
            if not at_work:
                self.transport.close()
            self.loop.call_later(_CLOSING_SECONDS, self.transport.abort)

    return GuardedProtocol


def _cancel(timers: Iterable[TimerHandle | None]) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()
