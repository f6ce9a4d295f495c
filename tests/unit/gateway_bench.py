"""A real gateway on a Unix socket in front of a provider whose every byte and pause a test decides."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from curation_sandbox.gateway.desk import ModelPins, Upstream
from curation_sandbox.gateway.exchange import Ask, Exchange
from curation_sandbox.gateway.http_source import HttpSource, Retry
from curation_sandbox.gateway.server import LIMITS, GatewayServer
from curation_sandbox.submit_guard import Limits

KEY: Final = "sk-test-9f8e7d6c5b4a3210"
PINS: Final = ModelPins(models=("big", "small"), aliases=(("claude-haiku-*", "small"), ("gpt-*-mini", "small")))
QUICK: Final = Retry(tries=3, first_seconds=0.01, longest_seconds=0.05, total_seconds=5.0)

MESSAGES_BODY: Final = {"model": "big", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CHAT_BODY: Final = {"model": "big", "messages": [{"role": "user", "content": "hi"}]}
RESPONSES_BODY: Final = {"model": "big", "store": False, "input": "hi"}


def event(name: str, **more: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **more})}\n\n".encode()


def messages_events(deltas: int = 3) -> list[bytes]:
    """A streamed reply of the Messages API."""
    usage = {"input_tokens": 7, "output_tokens": 1}
    start = event("message_start", message={"id": "msg_1", "usage": usage})
    texts = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"t{number}"})
        for number in range(deltas)
    ]
    return [start, *texts, event("message_delta", usage={"output_tokens": 5}), event("message_stop")]


def whole_reply(**more: Any) -> bytes:
    return json.dumps({"id": "x", "usage": {"input_tokens": 7, "output_tokens": 5}, **more}).encode()


@dataclass
class Asked:
    """What the provider got."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)


class Line:
    """The provider's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def raw(self, data: bytes) -> None:
        self._connection.sendall(data)

    def head(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        """The start of a chunked reply."""
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    def piece(self, data: bytes) -> None:
        self.raw(b"%x\r\n" % len(data) + data + b"\r\n")

    def end(self) -> None:
        self.raw(b"0\r\n\r\n")

    def whole(self, body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.head(status, kind, **headers)
        self.piece(body)
        self.end()

    def events(self, pieces: list[bytes]) -> None:
        self.head()
        for piece in pieces:
            self.piece(piece)
        self.end()

    def reset(self) -> None:
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self._connection.detach())  # a file made from it would keep it open

    def hung_up(self, seconds: float = 5.0) -> bool:
        """Whether the gateway closes its end in that time."""
        self._connection.settimeout(seconds)
        try:
            return self._connection.recv(1) == b""
        except ConnectionError:
            return True
        except OSError:
            return False


Act = Callable[[Line, Asked], None]


class Provider:
    """A TCP server; ``act`` answers each request and may close the connection."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.asked: list[Asked] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            file = connection.makefile("rb")
            while asked := _read(file):
                self.asked.append(asked)
                self.act(Line(connection), asked)


def _read(file: Any) -> Asked | None:
    first = file.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = []
    while line := file.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    size = int(dict(headers).get("content-length", "0"))
    return Asked(first[0], first[1], headers, file.read(size))


@dataclass
class TestDesk:
    """Keeps what it is told."""

    __test__ = False

    denial: str | None = None
    failure: str | None = None
    """Set: ``finished`` raises it."""
    admitted: list[Ask] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    hold: threading.Event | None = None
    """Set: ``finished`` waits for it."""

    def admit(self, ask: Ask) -> str | None:
        if self.denial is None:
            self.admitted.append(ask)
        return self.denial

    def finished(self, exchange: Exchange) -> None:
        if self.hold is not None:
            self.hold.wait(20)
        self.exchanges.append(exchange)
        if self.failure is not None:
            raise RuntimeError(self.failure)


@dataclass
class GatewayBench:
    server: GatewayServer
    desk: TestDesk
    provider: Provider
    errors: list[str]

    def client(self, timeout: float = 20.0) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.server.socket_path))
        return httpx.Client(transport=transport, base_url="http://gateway", timeout=timeout)

    def post(self, path: str = "/v1/messages", body: Any = None, **more: Any) -> httpx.Response:
        given = MESSAGES_BODY if body is None else body
        content = given if isinstance(given, bytes) else json.dumps(given).encode()
        with self.client() as client:
            return client.post(path, content=content, **more)

    def connect(self, timeout: float = 10.0) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        connection.connect(str(self.server.socket_path))
        return connection

    def talk(self, raw: bytes, timeout: float = 10.0) -> bytes:
        """Send these bytes; everything until the gateway closes or is silent."""
        with self.connect(timeout) as connection:
            with suppress(OSError):
                connection.sendall(raw)
            return read_all(connection)

    def one(self) -> Exchange:
        """The only exchange there was."""
        assert until(lambda: len(self.desk.exchanges) > 0)
        assert len(self.desk.exchanges) == 1, [each.outcome for each in self.desk.exchanges]
        return self.desk.exchanges[0]

    def still_serves(self) -> bool:
        with self.client() as client:
            return client.head("/api/hello").status_code == 200


def read_past(connection: socket.socket, mark: bytes) -> bytes:
    """Everything up to the piece that ends the mark."""
    got = b""
    while mark not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def read_all(connection: socket.socket) -> bytes:
    got = bytearray()
    with suppress(OSError):
        while piece := connection.recv(65536):
            got += piece
    return bytes(got)


def until(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def answer(line: Line, asked: Asked) -> None:
    """A plain provider: streams if asked to."""
    stream = json.loads(asked.body).get("stream") is True
    if stream:
        line.events(messages_events())
    else:
        line.whole(whole_reply())


@contextmanager
def gateway_bench(
    folder: Path, act: Act = answer, limits: Limits = LIMITS, *, pins: ModelPins = PINS, **source: Any
) -> Iterator[GatewayBench]:
    """``source``: arguments of ``HttpSource``, and ``auth``."""
    with Provider(act) as provider:
        auth = source.pop("auth", "x-api-key")
        upstream = Upstream(provider="test", base_url=provider.url, auth=auth, key=SecretStr(KEY))
        source.setdefault("retry", QUICK)
        desk, errors = TestDesk(), list[str]()
        http = HttpSource(upstream, **source)
        with GatewayServer(folder, http, pins, desk, limits, on_error=errors.append) as server:
            yield GatewayBench(server, desk, provider, errors)
        for each in [*desk.exchanges, *desk.admitted, errors, upstream, http]:
            assert KEY not in repr(each)
