"""Attacks on how a request is written: smuggling, injected headers, other paths, other models, provider-run tools."""

from __future__ import annotations

from typing import Any

from talk import at_once, message, request, say

Given = dict[str, Any]
FAR = "evil.example"
"""Never to be seen by the provider."""


def both_ways(requests: dict[str, bytes]) -> dict[str, list[dict[str, int]]]:
    """What came of each over the relay's port and over the socket."""

    def tried(raw: bytes) -> list[dict[str, int]]:
        answers = [say(raw, via, seconds=8) for via in ("relay", "llm.sock")]
        return [{"status": answer.status, "replies": answer.replies} for answer in answers]

    return dict(zip(requests, at_once([lambda raw=raw: tried(raw) for raw in requests.values()], 12), strict=True))


# ---------------------------------------------------------------- smuggling


def smuggling(given: Given) -> dict[str, list[dict[str, int]]]:
    """Two requests where one reader sees one: the second, which asks for ``/v1/smuggled-…``, must never be taken."""
    return both_ways(_ambiguous())


def _ambiguous() -> dict[str, bytes]:
    lengths = {
        "two content-lengths": "Content-Length: 4\r\nContent-Length: {all}",
        "a list of content-lengths": "Content-Length: 4, {all}",
        "a signed content-length": "Content-Length: +4",
        "a negative content-length": "Content-Length: -1",
        "a hexadecimal content-length": "Content-Length: 0x4",
        "an underlined content-length": "Content-Length: 0_4",
        "a content-length beyond all numbers": "Content-Length: " + "9" * 30,
        "a blank in the content-length": "Content-Length: 4 4",
        "an empty content-length": "Content-Length:",
        "content-length with a folded line": "Content-Length:\r\n 4",
        "a blank before the colon": "Content-Length : 4",
        "a control character in the name": "Content-Length\x0b: 4\r\nX: y",
        "bare line feeds": "X: y\nContent-Length: 4",
        "a bare return": "X: y\rContent-Length: 4",
        "a nul": "X: a\0b\r\nContent-Length: 4",
        "a line without a colon": "Content-Length: 4\r\nsmuggled",
        "a folded line": "X: y\r\n Content-Length: 4",
    }
    codings = {
        "chunked and a content-length": "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "a content-length after chunked": "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "another coding": "Transfer-Encoding: xchunked\r\nContent-Length: 4",
        "identity and chunked": "Transfer-Encoding: identity, chunked\r\nContent-Length: 4",
        "chunked twice": "Transfer-Encoding: chunked, chunked",
        "two transfer-encodings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "chunked behind a vertical tab": "Transfer-Encoding: \x0bchunked\r\nContent-Length: 4",
        "quoted chunked": 'Transfer-Encoding: "chunked"\r\nContent-Length: 4',
        "gzip, then chunked": "Transfer-Encoding: gzip, chunked",
    }
    chunks = {
        "a signed chunk size": b"+4\r\n{}  \r\n0\r\n\r\n",
        "a chunk size with 0x": b"0x4\r\n{}  \r\n0\r\n\r\n",
        "a chunk size that overflows": b"1" + b"0" * 16 + b"4\r\n{}  \r\n0\r\n\r\n",
        "a negative chunk size": b"-4\r\n{}  \r\n0\r\n\r\n",
        "no line end after a chunk": b"4\r\n{}  0\r\n\r\n",
        "a bare line feed after a chunk size": b"4\n{}  \r\n0\r\n\r\n",
    }
    found = {name: _pair(name, head) for name, head in lengths.items()}
    found |= {name: _pair(name, head, b"0\r\n\r\n") for name, head in codings.items()}
    for name, body in chunks.items():
        found[name] = _pair(name, "Transfer-Encoding: chunked", body)
    return found


def _inner(name: str) -> bytes:
    return f"GET /v1/smuggled-{name.replace(' ', '-')} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode()


def _pair(name: str, head: str, body: bytes = b"{}  ") -> bytes:
    inner = _inner(name)
    text = f"POST /v1/messages HTTP/1.1\r\nHost: gateway\r\n{head}\r\n\r\n".replace(
        "{all}", str(len(body) + len(inner))
    )
    return text.encode() + body + inner


def oddities(given: Given) -> dict[str, list[dict[str, int]]]:
    """What is no ordinary HTTP/1.1 request at all."""
    body = message("odd")
    usual = request(body)
    head, _, _ = usual.partition(b"\r\n\r\n")
    found = {
        "HTTP/0.9": b"GET /v1/models?smuggled=09\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(60),
        "HTTP/1.0 with chunks": usual.replace(b"HTTP/1.1", b"HTTP/1.0").replace(
            f"content-length: {len(body)}".encode(), b"transfer-encoding: chunked"
        ),
        "HTTP/9.9": usual.replace(b"HTTP/1.1", b"HTTP/9.9"),
        "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
        "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
        "two hosts": b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: evil.example\r\n\r\n",
        "nothing but line ends": b"\r\n" * 50_000,
        "random bytes": bytes(range(256)) * 400,
        "a blank in the target": b"GET /v1/models HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "a control character in the target": b"GET /v1/models\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "a target of 1 MB": b"GET /v1/models?" + b"a" * 2**20 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "a header of 1 MB": head + b"\r\nx-long: " + b"a" * 2**20 + b"\r\n\r\n" + body,
        "ten thousand headers": head + b"".join(b"\r\nx-%d: a" % n for n in range(10_000)) + b"\r\n\r\n" + body,
        "a method of 1 MB": b"A" * 2**20 + b" /v1/messages HTTP/1.1\r\nHost: a\r\n\r\n",
        "a websocket": b"GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "a chunk extension of 1 MB": _chunked(body, b";x=" + b"a" * 2**20),
        "endless trailers": _chunked(body)[:-2] + b"".join(b"x-%d: a\r\n" % n for n in range(100_000)) + b"\r\n",
    }
    return both_ways(found)


def _chunked(body: bytes, extension: bytes = b"") -> bytes:
    head = request(headers={"transfer-encoding": "chunked"}).replace(b"content-length: 0\r\n", b"")
    return head + b"%x%s\r\n%s\r\n0\r\n\r\n" % (len(body), extension, body)
