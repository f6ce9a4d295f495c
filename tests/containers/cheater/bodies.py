"""Attacks by weight: bodies without end, bombs, JSON that grows in a reader's memory."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable
from typing import Any

from talk import at_once, connect, heard, message, request, say

Given = dict[str, Any]
GB = 2**30
PIECE = b" " * 65536


def pour(head: bytes, pieces: Iterable[bytes], via: str, seconds: float = 60) -> dict[str, int]:
    """Send as much as is taken; the status, and how much that was."""
    sent, status, until = 0, 0, time.monotonic() + seconds
    try:
        with connect(via) as connection:
            try:
                connection.sendall(head)
                for piece in pieces:
                    connection.sendall(piece)
                    sent += len(piece)
                    if time.monotonic() > until:
                        break
            except OSError:
                pass
            status = heard(connection, 20).status
    except OSError:
        pass
    return {"status": status, "sent": sent}


def gigabyte(given: Given) -> list[dict[str, int]]:
    """A body of 1 GB, announced; on one connection after the other, and on forty at once."""
    head = request(length=GB)
    act = [lambda via=via: pour(head, (PIECE for _ in range(GB // len(PIECE))), via) for via in ("relay", "llm.sock")]
    return [act[0](), act[1](), *at_once(act * 20)]


def endless(given: Given) -> list[dict[str, int]]:
    """Chunks without end, on twenty connections at once: 1 GB each unless it is stopped."""
    head = request(headers={"transfer-encoding": "chunked"}).replace(b"content-length: 0\r\n", b"")
    chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    act = [lambda via=via: pour(head, (chunk for _ in range(GB // len(PIECE))), via) for via in ("relay", "llm.sock")]
    return at_once(act * 10)


def bombs(given: Given) -> dict[str, list[int]]:
    """Small bodies that unpack to 1 GB and more; each alone and on eight connections at once."""
    found = {}
    for name, (coding, body) in _bombs().items():
        raw = request(body, headers={"content-encoding": coding})
        act = [lambda via=via, raw=raw: say(raw, via, 60).status for via in ("relay", "llm.sock")]
        found[name] = at_once(act[:1]) + at_once(act * 4)
    return found


def packed(given: Given) -> dict[str, int]:
    """Honest compressed bodies, to see that the bombs are not refused for being compressed at all."""
    body = message("packed")
    squeezed = zlib.compressobj(wbits=31)
    plain = {"gzip": squeezed.compress(body) + squeezed.flush(), "zstd": zstd_head(23) + zstd_raw(body)}
    return {coding: say(request(data, headers={"content-encoding": coding})).status for coding, data in plain.items()}


def _bombs() -> dict[str, tuple[str, bytes]]:
    blanks = zstd_same(b" ", 131072)
    many = blanks * (GB // 131072)
    last = zstd_raw(b"{}")
    head, body = zstd_head(23), many + last
    gzip = gzip_blanks(GB)
    outer = zlib.compressobj(9, wbits=31)
    return {
        "gzip": ("gzip", gzip),
        "gzip in gzip": ("gzip, gzip", outer.compress(gzip) + outer.flush()),
        "gzip, many members": ("gzip", gzip_blanks(2**20) * 1024),
        "gzip, then junk": ("gzip", gzip_blanks(2**20) + bytes(2**20)),
        "x-gzip": ("x-gzip", gzip),
        "deflate": ("deflate", zlib.compress(bytes(2**24))),
        "zstd": ("zstd", head + body),
        "zstd that names a terabyte": ("zstd", zstd_head(23, size=2**40) + body),
        "zstd that names ten bytes": ("zstd", zstd_head(23, size=10) + body),
        "zstd in one segment": ("zstd", zstd_head(None, size=GB) + many[:-4] + zstd_same(b" ", 131072, last=True)),
        "zstd with a window of 2 GB": ("zstd", zstd_head(31) + body),
        "zstd, many frames": ("zstd", (zstd_head(23) + zstd_same(b" ", 131072, last=True)) * 8192),
        "zstd, skipped frames": ("zstd", (struct.pack("<II", 0x184D2A50, 1024) + bytes(1024)) * 4096),
        "zstd in gzip": ("zstd, gzip", zlib.compress(head + body, wbits=31)),
        "cut off": ("gzip", gzip[: len(gzip) // 2]),
        "no gzip": ("gzip", message("no gzip")),
        "an unknown coding": ("telepathy", message("coding")),
    }


def gzip_blanks(size: int) -> bytes:
    """A gzip stream of so many blanks (a multiple of 1 MiB), made from one block that is repeated."""
    mebibyte = b" " * 2**20
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(mebibyte) + squeeze.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(size // 2**20):
        check = zlib.crc32(mebibyte, check)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + block * (size // 2**20) + b"\x03\0" + struct.pack("<II", check, size % 2**32)


def zstd_head(window_log: int | None, size: int | None = None) -> bytes:
    """Magic number and frame header (RFC 8878, 3.1.1)."""
    single = window_log is None
    flags = (0xC0 if size is not None else 0) | (0x20 if single else 0)
    window = b"" if window_log is None else bytes([(window_log - 10) << 3])
    return b"\x28\xb5\x2f\xfd" + bytes([flags]) + window + (b"" if size is None else struct.pack("<Q", size))


def zstd_raw(data: bytes) -> bytes:
    """A last block that holds its bytes as they are."""
    return struct.pack("<I", len(data) << 3 | 1)[:3] + data


def zstd_same(byte: bytes, size: int, last: bool = False) -> bytes:
    """A block of one byte, repeated."""
    return struct.pack("<I", size << 3 | 1 << 1 | last)[:3] + byte


def trees(given: Given) -> dict[str, list[int]]:
    """JSON that grows in a reader's memory; of several sizes, and four at once."""
    found = {}
    for size in (2**20, 8 * 2**20, 31 * 2**20):
        for name, (begin, middle, end) in _shapes().items():
            count = size // len(middle) if middle else 0
            raw = request(b"%s%s%s" % (begin, middle * count, end * (count if name == "deep" else 1)))
            found[f"{name}, {size // 2**20} MiB"] = at_once([lambda raw=raw: say(raw, "llm.sock", 60).status] * 4)
    return found


def _shapes() -> dict[str, tuple[bytes, bytes, bytes]]:
    plain = message("tree")[:-1]
    keys = b"".join(b', "k%07d": 0' % n for n in range(1000))
    return {
        "many objects": (plain + b', "metadata": [{}', b",{}", b"]}"),
        "many lists": (plain + b', "metadata": [[]', b",[]", b"]}"),
        "many numbers": (plain + b', "metadata": [1.5', b",9.5", b"]}"),
        "deep": (plain + b', "metadata": ', b"[", b"]"),
        "a long number": (plain + b', "metadata": 1', b"0", b"}"),
        "an escaped text": (plain + b', "metadata": "', b"\\u1F600"[:6], b'"}'),
        "the same keys": (plain, keys, b"}"),
        "many messages": (plain.rsplit(b"]", 1)[0], b',{"role":"user","content":""}', b"]}"),
        "many blocks": (plain.rsplit(b'"tree"', 1)[0] + b"[", b'{"type":"text","text":"a"},', b"]}]}"),
        "many tools": (plain + b', "tools": [', b'{"name":"t","input_schema":{}},', b"]}"),
        "no object": (b"[", b"0,", b"0]"),
        "one wide letter": (plain + ', "metadata": "\U0001f600'.encode(), b"a" * 1024, b'"}'),
        "a wide text": (plain.rsplit(b'"tree"', 1)[0] + '"\U0001f600'.encode(), b"a" * 1024, b'"}]}'),
    }
