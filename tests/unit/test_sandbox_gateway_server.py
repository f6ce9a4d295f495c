"""The gateway's socket under attack, and the rules of its start and end."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from curation_sandbox.errors import SocketPathTooLong
from curation_sandbox.gateway.desk import Upstream
from curation_sandbox.gateway.http_source import HttpSource
from curation_sandbox.gateway.server import LIMITS, GatewayServer
from gateway_bench import MESSAGES_BODY, PINS, GatewayBench, TestDesk, gateway_bench, read_all

BODY = json.dumps(MESSAGES_BODY).encode()
QUICK = replace(LIMITS, header_seconds=0.4, idle_seconds=0.4, body_seconds=1.0, requests_per_second=5000, burst=20000)
"""Limits under which an attack is over in a fraction of a second."""


@pytest.fixture
def at(tmp_path: Path) -> Iterator[GatewayBench]:
    with gateway_bench(tmp_path, limits=QUICK) as made:
        yield made
        assert made.still_serves()
        assert made.errors == []


def request(body: bytes, *lines: str) -> bytes:
    head = ["POST /v1/messages HTTP/1.1", "Host: g", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def server(folder: Path) -> GatewayServer:
    source = HttpSource(Upstream(provider="none", base_url="http://127.0.0.1:9", auth="none"))
    return GatewayServer(folder, source, PINS, TestDesk(), on_error=print)


def test_the_socket_is_open_to_the_containers_user_and_gone_at_the_end(tmp_path: Path) -> None:
    with gateway_bench(tmp_path) as at:
        path = at.server.socket_path
        assert path.name == "llm.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert at.server.alive()
        assert at.server.activity().in_flight == 0
    assert not path.exists()
    assert not at.server.alive()


def test_a_path_that_is_too_long_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SocketPathTooLong), server(tmp_path / ("a" * 100)):
        pass


def test_a_server_killed_before_leaves_no_obstacle(tmp_path: Path) -> None:
    with server(tmp_path) as first, server(tmp_path) as second:
        assert second.alive()
        assert not first.alive()


def test_activity_shows_traffic(at: GatewayBench) -> None:
    before = at.server.activity().last
    at.post()
    assert at.server.activity().last > before


def smuggled(head: str) -> bytes:
    inner = b"POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}"
    return f"POST /v1/messages HTTP/1.1\r\nHost: g\r\n{head}\r\n\r\n".encode() + b"0\r\n\r\n" + inner


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length : 5",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "X: a\x00b\r\nContent-Length: 5",
        "X: a\rContent-Length: 5",
    ],
)
def test_request_smuggling_finds_no_second_request(at: GatewayBench, head: str) -> None:
    raw = at.talk(smuggled(head))
    assert [status[:1] for status in re.findall(rb"HTTP/1\.1 (\d+)", raw)] in ([b"4"], [b"5"])
    assert at.provider.asked == []
    assert not [exchange for exchange in at.desk.exchanges if exchange.path == "/v1/chat/completions"]


@pytest.mark.parametrize("header", ["x-api-key", "authorization", "x-goog-api-key", "cookie", "openai-organization"])
def test_client_logins_and_other_headers_stay_behind(at: GatewayBench, header: str) -> None:
    at.talk(request(BODY, f"{header}: Bearer sk-ant-oat01-mine"))
    assert "sk-ant-oat01" not in repr(at.provider.asked)
    assert "sk-ant-oat01" not in repr(at.one())
    assert at.one().outcome == "ok"


def test_header_flood(at: GatewayBench) -> None:
    raw = at.talk(request(BODY, *(f"x-{number}: {'a' * 1000}" for number in range(600))))
    assert raw.startswith(b"HTTP/1.1 400") or raw == b""
    assert at.provider.asked == []


def test_one_header_that_comes_whole_keeps_to_the_limit_too(at: GatewayBench) -> None:
    raw = at.talk(request(BODY, f"x-long: {'a' * 70_000}"))
    assert raw.startswith(b"HTTP/1.1 400")
    assert at.provider.asked == []


def test_gigabyte_body_is_refused_at_its_announcement(at: GatewayBench) -> None:
    raw = at.talk(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 1073741824\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413")
    assert json.loads(raw.partition(b"\r\n\r\n")[2])["type"] == "error"


def test_slowloris_headers(at: GatewayBench) -> None:
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nX-")
        assert b" 408 " in read_all(made)


def test_slowloris_body_is_on_record_as_refused(at: GatewayBench) -> None:
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in read_all(made)
    assert (at.one().outcome, at.one().status) == ("refused", 408)


def test_slowloris_body_byte_by_byte(at: GatewayBench) -> None:
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 10000\r\n\r\n")
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 20:
                made.sendall(b" ")
                time.sleep(0.02)
        assert time.monotonic() - began < 20
    assert at.one().status == 408


def test_too_many_connections_are_told_so(at: GatewayBench) -> None:
    made = []
    while len(made) < QUICK.connections + 20:
        with suppress(BlockingIOError):  # the kernel's queue is full for a moment
            made.append(at.connect())
    answers = [read_all(one) for one in made]  # the others' silence ends them
    for one in made:
        one.close()
    assert sum(b" 503 " in answer for answer in answers) >= 20
    assert at.post().status_code == 200


def test_floods_of_requests_are_slowed_down(tmp_path: Path) -> None:
    slowed = replace(QUICK, requests_per_second=20.0, burst=2)
    with gateway_bench(tmp_path, limits=slowed) as at, at.client() as client:
        began = time.monotonic()
        for _ in range(6):
            assert client.get("/v1/models").status_code == 200
        assert time.monotonic() - began > 0.15  # four beyond the burst, at 20 a second
