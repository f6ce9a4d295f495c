"""The gateway's socket under attack, and the rules of its start and end."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_bench import PINS, QUICK, WHOLE, Bench, KeepingDesk, Provider, asking, bench, read_all, request

from curation_sandbox.errors import SocketPathTooLong
from curation_sandbox.gateway.server import GatewayServer

ASKING = json.dumps(asking()).encode()


@pytest.fixture
def at() -> Iterator[Bench]:
    with bench() as made:
        yield made


def test_the_socket_is_open_to_the_containers_user_and_gone_at_the_end() -> None:
    with bench() as at:
        path = at.server.socket_path
        assert path.name == "llm.sock" and stat.S_IMODE(path.stat().st_mode) == 0o666
        assert at.server.alive()
        assert at.server.activity().in_flight == 0
    assert not path.exists() and not at.server.alive() and at.provider.closed


def test_a_path_that_is_too_long_is_said_before_anything_runs(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 100)
    with pytest.raises(SocketPathTooLong):
        GatewayServer(folder, Provider(), PINS, KeepingDesk(), on_error=print).__enter__()


def test_the_end_of_the_server_leaves_no_exchange_unrecorded() -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.sleep(3600)
        yield b""

    with bench(replace(QUICK, stop_seconds=0)) as at:
        at.provider.body = never
        made = at.connect()
        made.sendall(request(ASKING))
        while not at.provider.asks:
            time.sleep(0.01)
    made.close()
    assert [exchange.outcome for exchange in at.desk.exchanges] == ["client-gone"]
    assert at.errors == []


def test_activity_shows_traffic(at: Bench) -> None:
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
def test_request_smuggling_finds_no_second_request(at: Bench, head: str) -> None:
    raw = at.raw(smuggled(head))
    assert [status[:1] for status in re.findall(rb"HTTP/1\.1 (\d+)", raw)] in ([b"4"], [b"5"])
    assert at.provider.asks == []
    assert not [exchange for exchange in at.desk.exchanges if exchange.path == "/v1/chat/completions"]


@pytest.mark.parametrize("header", ["x-api-key", "authorization", "x-goog-api-key", "cookie", "openai-organization"])
def test_client_credentials_and_other_headers_stay_behind(at: Bench, header: str) -> None:
    at.raw(request(ASKING, "/v1/messages", f"{header}: Bearer sk-ant-oat01-mine"))
    (exchange,) = at.desk.exchanges
    assert header not in at.provider.asks[0].headers
    assert "sk-ant-oat01" not in repr(exchange) and exchange.outcome == "ok"


def test_header_flood(at: Bench) -> None:
    raw = at.raw(request(ASKING, "/v1/messages", *(f"x-{number}: {'a' * 1000}" for number in range(600))))
    assert raw.startswith(b"HTTP/1.1 400")
    assert at.provider.asks == []


def test_gigabyte_body_is_refused_at_its_announcement(at: Bench) -> None:
    raw = at.raw(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 1073741824\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413")
    assert json.loads(raw.partition(b"\r\n\r\n")[2])["type"] == "error"


def test_slowloris_headers(at: Bench) -> None:
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nX-")
        assert b" 408 " in read_all(made)


def test_slowloris_body_is_on_record_as_refused(at: Bench) -> None:
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in read_all(made)
    (exchange,) = at.desk.exchanges
    assert (exchange.outcome, exchange.status) == ("refused", 408)


def test_too_many_connections_are_told_so(at: Bench) -> None:
    made = [at.connect() for _ in range(QUICK.connections + 20)]
    time.sleep(0.1)
    answers = [read_all(one) for one in made]  # the others' silence ends them
    for one in made:
        one.close()
    assert sum(b" 503 " in answer for answer in answers) >= 20
    assert at.post().content == WHOLE


def test_rate_of_requests_is_slowed_down() -> None:
    with bench(replace(QUICK, requests_per_second=20.0, burst=2)) as at, at.client() as client:
        began = time.monotonic()
        for _ in range(6):
            assert client.get("/v1/models").status_code == 200
        assert time.monotonic() - began > 0.15  # four beyond the burst, at 20 a second


def test_a_server_killed_before_leaves_no_obstacle(tmp_path: Path) -> None:
    for _ in range(2):
        server = GatewayServer(tmp_path, Provider(), PINS, KeepingDesk(), on_error=print)
        server.__enter__()
        assert server.alive()
        server.socket_path.rename(tmp_path / "away")
        assert not server.alive()
        (tmp_path / "away").rename(server.socket_path)
        server.__exit__(None, None, None)
