"""A model provider that follows a script: stands for Anthropic, OpenAI and others in tests, and as a program.

    with ScriptedModel([Run("ls /pool"), Say("done")]) as model:
        ...  # model.base_url, model.requests

It speaks three wires (``/v1/messages`` with ``count_tokens``, ``/v1/responses``, ``/v1/chat/completions``) streamed
and whole, and ``/v1/models``; it wants a key, and answers bad requests as the real ones do. One script gives equal
bytes each time.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import scripted_chat
import scripted_messages
import scripted_responses
import uvicorn
import zstandard
from scripted_moves import Conversation, Cut, Move, Place, Script, Spoken, find_place, read_script, side_reply, spoken

KEY: Final = "sk-scripted-0123456789abcdef"
MODELS: Final = ("claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5", "gpt-5-mini", "scripted")

Json = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Json]]
Send = Callable[[Json], Awaitable[None]]


class Wire(NamedTuple):
    read: Callable[[Json], Conversation]
    whole: Callable[[Spoken], Json]
    error: Callable[[int, str], Json]


WIRES: Final = {
    "/v1/messages": Wire(scripted_messages.read, scripted_messages.whole, scripted_messages.error),
    "/v1/responses": Wire(scripted_responses.read, scripted_responses.whole, scripted_responses.error),
    "/v1/chat/completions": Wire(scripted_chat.read, scripted_chat.whole, scripted_chat.error),
}


def stream_events(path: str, reply: Spoken, body: Json) -> list[bytes]:
    """The streamed reply, event by event."""
    if path == "/v1/messages":
        return scripted_messages.events(reply)
    if path == "/v1/responses":
        return scripted_responses.events(reply)
    return scripted_chat.events(reply, bool((body.get("stream_options") or {}).get("include_usage")))


@dataclass
class Asked:
    """One request as it came in, and what became of it."""

    at: float
    """Unix time."""
    method: str
    path: str
    """Without its query."""
    query: str
    headers: dict[str, str]
    """Names in lower case."""
    raw: bytes
    """The body, decompressed."""
    body: Json | None = None
    """The body as JSON, if it is."""
    place: Place | None = None
    """Where in the script the conversation stood; None: not part of it."""
    status: int = 0
    """What was answered; 0: nothing whole."""

    @property
    def generates(self) -> bool:
        return self.path in WIRES


class Refused(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Provider:
    """The server as an ASGI application."""

    def __init__(self, script: Script, key: str, models: Sequence[str]) -> None:
        self.script = script
        self.key = key
        self.models = models
        self.requests: list[Asked] = []
        self._served: Counter[tuple[int, int, int]] = Counter()
        """How often a ``Fail`` or ``Cut`` has befallen a step: by thread, step, and its number there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        raw = decompressed(await _whole_body(receive), headers.get("content-encoding", ""))
        query = scope["query_string"].decode("latin-1")
        asked = Asked(time.time(), scope["method"], scope["path"], query, headers, raw)
        self.requests.append(asked)
        error = WIRES.get(asked.path, WIRES["/v1/messages"]).error
        try:
            self._check_login(asked)
            await self._answer(asked, scope, send)
        except Refused as refused:
            asked.status = refused.status
            if refused.status == 0:
                _abort(send)
                return
            more = {} if refused.retry_after is None else {"retry-after": f"{refused.retry_after:g}"}
            await _send_json(send, refused.status, error(refused.status, refused.message), more)

    def _check_login(self, asked: Asked) -> None:
        given = asked.headers.get("x-api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        if given != self.key:
            raise Refused(401, "Incorrect API key provided")

    async def _answer(self, asked: Asked, scope: Scope, send: Send) -> None:
        route = (asked.method, asked.path)
        if route == ("GET", "/v1/models"):
            asked.status = 200
            listed = [{"id": name, "object": "model", "type": "model", "created": 0} for name in self.models]
            await _send_json(send, 200, {"object": "list", "data": listed, "has_more": False})
            return
        if asked.method != "POST" or (not asked.generates and asked.path != "/v1/messages/count_tokens"):
            raise Refused(404, f"no {asked.method} {asked.path} here")
        asked.body = _parsed(asked.raw)
        if asked.path.startswith("/v1/messages") and "anthropic-version" not in asked.headers:
            raise Refused(400, "anthropic-version: header is required")
        if asked.body.get("model") not in self.models:
            raise Refused(404, f"model: {asked.body.get('model')} does not exist")
        if not asked.generates:
            asked.status = 200
            await _send_json(send, 200, {"input_tokens": 1000})
            return
        await self._generate(asked, asked.body, send)

    async def _generate(self, asked: Asked, body: Json, send: Send) -> None:
        wire = WIRES[asked.path]
        try:
            conversation = wire.read(body)
            place = find_place(self.script, conversation) if conversation.tools else None
            reply = side_reply(conversation.model) if place is None else spoken(place, conversation)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        asked.place = place
        cut, pause = None, 0.0
        if place is not None:
            if place.step.slow is not None:
                await asyncio.sleep(place.step.slow.seconds)
                pause = place.step.slow.each
            cut = self._mishap(place)
        if conversation.stream:
            await _send_events(send, stream_events(asked.path, reply, body), pause, cut)
        else:
            await _send_whole(send, wire.whole(reply), cut)
        asked.status = 200 if cut is None else 0

    def _mishap(self, place: Place) -> int | None:
        """After how many events the reply breaks off; None: it does not.

        Raises:
            Refused: the step is an error for now.
        """
        for number, mishap in enumerate((*place.step.fails, *place.step.cuts)):
            counter = (place.thread, place.index, number)
            if mishap.times is not None and self._served[counter] >= mishap.times:
                continue
            self._served[counter] += 1
            if isinstance(mishap, Cut):
                return mishap.after_events
            raise Refused(mishap.status, f"scripted failure {mishap.status}", mishap.retry_after)
        return None


def decompressed(raw: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(raw)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    return raw


def _parsed(raw: bytes) -> Json:
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be an object")
    return body


async def _whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _start(send: Send, status: int, kind: str, more: Mapping[str, str]) -> None:
    headers = {"content-type": kind, "request-id": "req_scripted", "x-request-id": "req_scripted", **more}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _send_json(send: Send, status: int, body: Json, more: Mapping[str, str] | None = None) -> None:
    data = json.dumps(body).encode()
    await _start(send, status, "application/json", {"content-length": str(len(data)), **(more or {})})
    await send({"type": "http.response.body", "body": data})


async def _send_whole(send: Send, body: Json, cut: int | None) -> None:
    if cut is None:
        await _send_json(send, 200, body)
        return
    data = json.dumps(body).encode()
    await _start(send, 200, "application/json", {"content-length": str(len(data))})
    await send({"type": "http.response.body", "body": data[: len(data) // 2], "more_body": True})
    await asyncio.sleep(0.05)
    _abort(send)


async def _send_events(send: Send, events: Sequence[bytes], pause: float, cut: int | None) -> None:
    await _start(send, 200, "text/event-stream; charset=utf-8", {"cache-control": "no-cache"})
    for event in events[:cut]:
        if pause:
            await asyncio.sleep(pause)
        await send({"type": "http.response.body", "body": event, "more_body": True})
    if cut is None:
        await send({"type": "http.response.body", "body": b""})
        return
    await asyncio.sleep(0.05)  # what was sent arrives before the reset
    _abort(send)


def _abort(send: Send) -> None:
    """Reset the connection. ASGI has no word for it, so uvicorn's own transport is taken."""
    send.__self__.transport.abort()  # type: ignore[attr-defined]


class ScriptedModel:
    """The server in a thread of its own; a context manager."""

    def __init__(
        self,
        script: Script | Sequence[Move],
        *,
        key: str = KEY,
        models: Sequence[str] = MODELS,
        port: int = 0,
    ) -> None:
        """Args:
        script: the moves of the main conversation, or a whole ``Script``.
        key: the only key that is let in.
        models: the only models there are.
        port: 0: a free one.
        """
        self.key = key
        self.provider = Provider(script if isinstance(script, Script) else Script(script), key, models)
        self._socket = socket.create_server(("127.0.0.1", port))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self.provider, http="h11", ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    @property
    def requests(self) -> list[Asked]:
        """All that it was asked, in order."""
        return self.provider.requests

    @property
    def turns(self) -> list[Asked]:
        """Requests of the script's conversations; titles, counts and the like are left out."""
        return [asked for asked in self.requests if asked.place is not None]

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the scripted model did not start"
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a scripted model until interrupted.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, required=True, help="a JSON file, see scripted_moves.read_script")
    parser.add_argument("--key", default=KEY)
    arguments = parser.parse_args()
    script = read_script(arguments.script.read_text())
    with ScriptedModel(script, key=arguments.key, port=arguments.port) as model:
        _tell(model.base_url)
        _tell(f"the key it lets in: {arguments.key}")
        seen = 0
        while True:
            time.sleep(0.2)
            for asked in model.requests[seen:]:
                _tell(f"{asked.method} {asked.path} {asked.status} {asked.place.label if asked.place else '-'}")
                seen += 1


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
