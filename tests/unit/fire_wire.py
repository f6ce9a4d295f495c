"""Requests as bytes on a Unix socket: whole ones over a connection that is kept open, and hurt ones."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
from typing import Final

import requests

PIECES: Final = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"%00",
    b"..",
    b"Content-Length: 5\r\n",
    b"Expect: 100-continue\r\n",
)


class Wire:
    """A connection to a Unix socket that is kept open, as agents do."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def exchange(self, data: bytes, seconds: float = 60) -> Reply:
        """Status, headers by lower-case name, body.

        Raises:
            HTTPException, OSError: the connection was closed without a reply, or none came in time.
        """
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(seconds)
            self._socket.connect(self._path)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # there may be a reply all the same
            self._socket.sendall(data)
        reply = http.client.HTTPResponse(self._socket, method="GET")
        reply.begin()
        body = reply.read()
        headers: dict[str, list[str]] = {}
        for name, value in reply.getheaders():
            headers.setdefault(name.lower(), []).append(value)
        if reply.will_close:
            self.close()
        return reply.status, headers, body


Reply = tuple[int, dict[str, list[str]], bytes]


def send_hurt(path: str, data: bytes) -> tuple[bytes, Reply | None]:
    """On a connection of its own, which is left when no answer comes soon: more bytes may be awaited."""
    with Wire(path) as wire:
        try:
            return data, wire.exchange(data, seconds=0.5)
        except (http.client.HTTPException, OSError):
            return data, None


def hurt(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to three of: a byte changed, a piece cut out, doubled, or put in, the end cut off."""
    found = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(found) + 1)
        length = rng.choice((1, 2, 8, 64))
        way = rng.randrange(5)
        if way == 0 and at < len(found):
            found[at] = rng.randrange(256)
        elif way == 1:
            del found[at : at + length]
        elif way == 2:
            found[at:at] = found[at : at + length]
        elif way == 3:
            found[at:at] = rng.choice((rng.randbytes(length), *PIECES))
        elif way == 4 and rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def bytes_of(prepared: requests.PreparedRequest) -> bytes:
    body = prepared.body or b""
    lines = [f"{prepared.method} {prepared.path_url} HTTP/1.1", "Host: harness"]
    lines += [f"{name}: {value}" for name, value in prepared.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body.encode() if isinstance(body, str) else body)
