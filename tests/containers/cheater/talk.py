"""How the cheater talks to the gateway: raw bytes over the relay's port or the socket itself, nothing in between."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

RELAY = ("127.0.0.1", 8123)
SOCKETS = Path("/run/curation")
MODEL = "claude-sonnet-4-5"
USUAL = {"host": "gateway", "content-type": "application/json", "anthropic-version": "2023-06-01"}

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


class Answer(NamedTuple):
    status: int
    """Of the first reply; 0: the connection was closed without one."""
    replies: int
    """How many replies came on the connection."""
    body: bytes
    """All that came back."""


def connect(via: str = "relay", seconds: float = 20) -> socket.socket:
    family = socket.AF_INET if via == "relay" else socket.AF_UNIX
    connection = socket.socket(family)
    connection.settimeout(seconds)
    connection.connect(RELAY if via == "relay" else str(SOCKETS / via))
    return connection


def say(raw: bytes, via: str = "relay", seconds: float = 20, most: int = 2**20) -> Answer:
    """Send bytes and read until the other side closes, or is quiet after its reply."""
    try:
        connection = connect(via, seconds)
    except OSError:
        return Answer(0, 0, b"")
    with connection:
        with contextlib.suppress(OSError):  # it may have answered before it stopped reading
            connection.sendall(raw)
        return heard(connection, seconds, most)


def heard(connection: socket.socket, seconds: float = 20, most: int = 2**20) -> Answer:
    """What comes back on a connection."""
    got = b""
    until = time.monotonic() + seconds
    try:
        while len(got) < most and time.monotonic() < until:
            connection.settimeout(0.7 if _STATUS.search(got) else max(0.1, until - time.monotonic()))
            piece = connection.recv(65536)
            if not piece:
                break
            got += piece
    except OSError:
        pass
    found = _STATUS.findall(got)
    return Answer(int(found[0]) if found else 0, len(found), got)


def request(
    body: bytes = b"",
    *,
    method: str = "POST",
    target: str = "/v1/messages",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    length: int | None = None,
) -> bytes:
    """A whole request; the connection is closed after it."""
    more = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    given = {name.lower() for name, _ in more}
    usual = [(name, value) for name, value in USUAL.items() if name not in given]
    pairs = [*usual, ("content-length", str(len(body) if length is None else length)), ("connection", "close"), *more]
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def message(text: str, **fields: Any) -> bytes:
    """A plain request to the model, as JSON."""
    return json.dumps(
        {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": text}], **fields}
    ).encode()


def honest(text: str, seconds: float = 60) -> bool:
    """Whether a plain request gets the model's reply. One that is told to try later does so, as real programs do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = say(request(message(text)), seconds=20)
        if answer.status == 200 and b"A data curation run" in answer.body:
            return True
        if answer.status not in (0, 408, 429, 503, 529):
            return False
        time.sleep(0.5)
    return False


def at_once(acts: Iterable[Callable[[], Any]], most: int = 64) -> list[Any]:
    """What each returned, in order; so many run at the same time."""
    with ThreadPoolExecutor(most) as pool:
        return [future.result() for future in [pool.submit(act) for act in acts]]
