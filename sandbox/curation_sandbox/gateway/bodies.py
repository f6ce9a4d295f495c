"""Request bodies: read with a bound on every one and on all together, unpacked, parsed strictly."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import zstandard
from starlette.requests import ClientDisconnect, Request

from curation_sandbox.submit_guard import strict_json

MAX_BODY: Final = 32 * 2**20
"""Bytes of one body, packed or not; a million tokens are a few megabytes."""
_PIECE: Final = 2**18
_ZSTD_STEP: Final = 256
"""Packed bytes at a time: four of them can mean a block of 128 KiB (RFC 8878, 3.1.1.2), and all of a step's blocks
are unpacked at once."""
_BEYOND_ONE: Final = re.compile(rb"[\xc4-\xef]")
_BEYOND_TWO: Final = re.compile(rb"[\xf0-\xff]")
"""First bytes, in UTF-8, of letters above U+00FF and above U+FFFF."""
_MOST_MARKS: Final = 1_000_000
"""Commas and opening brackets of a body, those in its texts included. A prompt of a million tokens has fewer, and
thirty megabytes of ``[],`` would become a gigabyte of lists when they are read."""


class BodyRefused(Exception):
    """The body cannot be taken; the message is for the agent."""

    def __init__(self, status: int, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        """What there is of it."""


class BodyRoom:
    """Memory for the bodies of all requests under way, as they are sent and as text."""

    def __init__(self, total: int) -> None:
        self._free = total

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        share = BodyShare(self)
        try:
            yield share
        finally:
            self._free += share.taken

    def take(self, size: int) -> None:
        if size > self._free:
            raise BodyRefused(503, "too many large requests are under way; try again later")
        self._free -= size


class BodyShare:
    """What one request takes of the room."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self.taken = 0

    def take(self, size: int) -> None:
        """Raises:
        BodyRefused: nothing is left.
        """
        self._room.take(size)
        self.taken += size


async def read(request: Request, share: BodyShare) -> bytes:
    """The body, unpacked.

    Raises:
        BodyRefused: too large, in an encoding that is not taken, or damaged.
        ClientDisconnect: the client hung up.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "zstd"):
        raise BodyRefused(415, f"content-encoding {encoding[:40]!r} is not taken; gzip, zstd and none are")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY:
        raise BodyRefused(413, f"a request may have {MAX_BODY} bytes at most")
    packed = bytearray()
    async for piece in request.stream():
        share.take(len(piece))
        packed += piece
        if len(packed) > MAX_BODY:
            raise BodyRefused(413, f"a request may have {MAX_BODY} bytes at most", bytes(packed[:_PIECE]))
    try:
        body = bytes(packed) if encoding == "identity" else _unpacked(bytes(packed), encoding, share)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise BodyRefused(400, f"the body is no whole {encoding} data: {error}") from None
    share.take((_width(body) - 1) * len(body))
    return body


def _width(body: bytes) -> int:
    """Bytes that each letter of a text takes once it is decoded: one emoji makes it four for all (PEP 393)."""
    if body.isascii():
        return 1
    if _BEYOND_TWO.search(body):
        return 4
    return 2 if _BEYOND_ONE.search(body) else 1


def _unpacked(packed: bytes, encoding: str, share: BodyShare) -> bytes:
    """Piece by piece, so that a small body that unpacks to a huge one is seen before it is there."""
    out = bytearray()
    for piece in _unzipped(packed) if encoding == "gzip" else _unzstd(packed):
        share.take(len(piece))
        out += piece
        if len(out) > MAX_BODY:
            raise BodyRefused(413, f"a request may unpack to {MAX_BODY} bytes at most")
    return bytes(out)


def _unzipped(packed: bytes) -> Iterator[bytes]:
    reader = zlib.decompressobj(wbits=31)
    taken = 0
    while taken < len(packed) and not reader.eof:
        step = packed[taken : taken + _PIECE]
        taken += len(step)
        while step and not reader.eof:  # at the end what follows stays in unconsumed_tail for ever
            yield reader.decompress(step, _PIECE)
            step = reader.unconsumed_tail
    yield reader.flush()
    if not reader.eof or reader.unused_data or taken < len(packed):
        raise EOFError("it is cut off, or something follows it")


def _unzstd(packed: bytes) -> Iterator[bytes]:
    # a frame can ask for a window of gigabytes
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_BODY).decompressobj()
    for start in range(0, len(packed), _ZSTD_STEP):
        if reader.eof:
            raise EOFError("something follows it")
        yield reader.decompress(packed[start : start + _ZSTD_STEP])
    if not reader.eof or reader.unused_data:
        raise EOFError("it is cut off, or something follows it")


def parse(body: bytes) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        BodyRefused: it is none, or could be read in two ways.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > _MOST_MARKS:
        raise BodyRefused(400, f"the body has more than {_MOST_MARKS} commas and opening brackets", body)
    try:
        tree = strict_json(body)
    except ValueError as error:
        raise BodyRefused(400, str(error), body) from None
    if not isinstance(tree, dict):
        raise BodyRefused(400, "the body must be a JSON object", body)
    return tree


__all__ = ["MAX_BODY", "BodyRefused", "BodyRoom", "BodyShare", "ClientDisconnect", "parse", "read"]
