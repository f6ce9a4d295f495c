"""Attacks by number: slow and many connections, floods, replies never read."""

from __future__ import annotations

import base64
import collections
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from talk import MODEL, Answer, connect, honest, message, request, say

Given = dict[str, Any]


def counted(statuses: Iterable[int]) -> dict[str, int]:
    return {str(status): number for status, number in collections.Counter(statuses).items()}


def slow(given: Given) -> dict[str, Any]:
    """Headers and bodies byte by byte, on thirty connections each, while it goes on asking honestly."""
    head = request(message("slow"))
    lines, _, body = head.partition(b"\r\n\r\n")
    over = threading.Event()
    ends: dict[str, list[float]] = {"headers": [], "bodies": []}

    def drip(kind: str, first: bytes, rest: bytes) -> None:
        began = time.monotonic()
        try:
            with connect("llm.sock", 5) as connection:
                connection.sendall(first)
                for number in range(len(rest)):
                    if over.wait(0.5) or _hung_up(connection):
                        break
                    connection.sendall(rest[number : number + 1])
        except OSError:
            pass
        if not over.is_set():
            ends[kind].append(round(time.monotonic() - began, 1))

    threads = [threading.Thread(target=drip, args=("headers", b"P", lines[1:])) for _ in range(30)]
    threads += [threading.Thread(target=drip, args=("bodies", lines + b"\r\n\r\n", body)) for _ in range(30)]
    for thread in threads:
        thread.start()
    asked = [honest("among slow ones", 40)]
    until = time.monotonic() + 45
    while len(ends["headers"]) < 30 and time.monotonic() < until:
        time.sleep(0.5)
    asked.append(honest("among slow ones", 40))
    over.set()
    for thread in threads:
        thread.join()
    return {"honest": asked, "headers cut off": len(ends["headers"]), "bodies cut off": len(ends["bodies"])}


def _hung_up(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(65536) is not None  # a reply, or the end
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(5)


def connections(given: Given) -> dict[str, dict[str, int]]:
    """Ten thousand open at once, over the socket and over the relay."""
    return {via: _crowd(via, given["connections"]) for via in ("llm.sock", "relay")}


def _crowd(via: str, number: int) -> dict[str, int]:
    each = 900
    pipes = []
    children = []
    for _ in range(0, number, each):
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(sending, b"%d\n" % _hold(via, each))
            time.sleep(3)  # all are open now
            os._exit(0)
        os.close(sending)
        pipes.append(receiving)
        children.append(child)
    opened = sum(int(os.read(pipe, 100) or b"0") for pipe in pipes)
    for pipe in pipes:
        os.close(pipe)
    for child in children:
        os.waitpid(child, 0)
    return {"tried": len(children) * each, "opened": opened}


_HELD: list[socket.socket] = []


def _hold(via: str, number: int) -> int:
    """Open so many as come through in a few seconds, each with a request begun."""
    until = time.monotonic() + 8
    while len(_HELD) < number and time.monotonic() < until:
        try:
            connection = connect(via, 1)
            connection.sendall(b"POST /v1/messages HTTP/1.1\r\n")
            _HELD.append(connection)
        except OSError:  # the listener's queue is full; another try comes through
            time.sleep(0.002)
    return len(_HELD)


def hit_and_run(given: Given) -> int:
    """Connections that are reset in the middle of a request, one after the other."""
    raw = request(message("run"))
    for number in range(3000):
        try:
            with connect("llm.sock" if number % 2 else "relay", 2) as connection:
                connection.sendall(raw[: 1 + number % len(raw)])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    return 3000


def pipeline(given: Given) -> int:
    """Many requests on one connection, with no reply read."""
    one = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
    with connect("llm.sock", 3) as connection:
        sent = 0
        try:
            while sent < 20_000_000:
                sent += connection.send(one * 1000)
        except OSError:
            pass
    return sent


def deaf(given: Given) -> dict[str, int]:
    """Long replies that are asked for and never read, on forty connections."""
    tools = [{"name": "t", "input_schema": {"type": "object"}}]
    raw = request(message("deaf", stream=True, tools=tools, max_tokens=100_000))
    held = []
    for number in range(40):
        try:
            connection = connect("llm.sock" if number % 2 else "relay", 5)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.sendall(raw)
            held.append(connection)
        except OSError:
            pass
    time.sleep(4)
    for connection in held:
        connection.close()
    return {"asked": len(held)}


# ---------------------------------------------------------------- floods


def flood(given: Given) -> dict[str, int]:
    """As many requests as go, for four seconds, from six processes: refused ones, malformed ones, plain ones."""
    kinds = [
        request(b"{}", target="/v1/files"),
        request(message("flood", model="gpt-5")),
        request(b"not JSON"),
        b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /api/hello HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    return _forked([lambda raw=raw: _hammer(raw, 4) for raw in kinds])


def _forked(acts: Iterable[Callable[[], Iterator[int]]]) -> dict[str, int]:
    """Each in a process of its own; how often each status came."""
    pipes = []
    for act in acts:
        receiving, sending = os.pipe()
        if os.fork() == 0:
            os.write(sending, json.dumps(counted(act())).encode())
            os._exit(0)
        os.close(sending)
        pipes.append(receiving)
    total: collections.Counter[str] = collections.Counter()
    for pipe in pipes:
        total.update(json.loads(os.read(pipe, 65536) or b"{}"))
        os.close(pipe)
        os.wait()
    return dict(total)


def _hammer(raw: bytes, seconds: float, via: str = "llm.sock") -> Iterator[int]:
    keep = raw.replace(b"connection: close\r\n", b"")
    until = time.monotonic() + seconds
    connection: socket.socket | None = None
    while time.monotonic() < until:
        try:
            connection = connection or connect(via, 5)
            connection.sendall(keep)
            got = connection.recv(65536)
        except OSError:
            got = b""
        yield int(got[9:12]) if got.startswith(b"HTTP/1.1 ") else 0
        if (not got or b"connection: close" in got[:1000].lower()) and connection is not None:
            connection.close()
            connection = None


def both_sockets(given: Given) -> dict[str, dict[str, int]]:
    """A flood of submissions beside one of model requests."""
    empty = b'{"kind": "rows", "blob": "sha256:' + b"0" * 64 + b'", "note": "flood"}'
    submissions = [
        request(empty, target="/v1/submissions"),
        request(method="GET", target="/v1/status"),
        request(os.urandom(65536), method="PUT", target="/v1/blobs/sha256:" + "0" * 64),
    ]
    with_model = [request(message("beside")), request(message("beside", stream=True))]
    acts = [lambda raw=raw: _hammer(raw, 3, "submit.sock") for raw in submissions]
    acts += [lambda raw=raw: _hammer(raw, 3) for raw in with_model]
    return {"all": _forked(acts)}


def counting(given: Given) -> dict[str, int]:
    """Requests that cost nothing at the provider, each with another big body that does not compress."""
    statuses = []
    until = time.monotonic() + given["counting_seconds"]
    while time.monotonic() < until:
        text = base64.b85encode(os.urandom(4 * 2**20)).decode()
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]}).encode()
        statuses.append(_counted_tokens(body).status)
    return counted(statuses)


def _counted_tokens(body: bytes) -> Answer:
    return say(request(body, target="/v1/messages/count_tokens"), "llm.sock", 30)
