"""Request bodies as attacks: bombs, damaged packing, JSON that two readers would read differently."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from curation_sandbox.gateway import app, bodies
from gateway_bench import MESSAGES_BODY, GatewayBench, gateway_bench

BODY = json.dumps(MESSAGES_BODY).encode()


@pytest.fixture
def at(tmp_path: Path) -> Iterator[GatewayBench]:
    with gateway_bench(tmp_path) as made:
        yield made
        assert made.still_serves()
        assert made.errors == []


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def gzip_bomb(size: int) -> bytes:
    """A gzip member of so many blanks, packed twice over before it is ever whole."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * 2**20
    return b"".join(packer.compress(block) for _ in range(size // 2**20)) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd), ("GZIP", gzip.compress)]
)
def test_packed_bodies_are_taken(at: GatewayBench, encoding: str, pack: type) -> None:
    assert at.post(body=pack(BODY), headers={"content-encoding": encoding}).status_code == 200
    assert json.loads(at.provider.asked[0].body)["messages"] == MESSAGES_BODY["messages"]
    assert at.desk.exchanges[0].request == BODY
    assert at.provider.asked[0].header("content-encoding") is None


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,zstd", "zstd\tgzip", "x" * 300, "utf-8"])
def test_other_and_chained_encodings_are_refused(at: GatewayBench, encoding: str) -> None:
    assert at.post(body=gzip.compress(BODY), headers={"content-encoding": encoding}).status_code == 415
    assert at.provider.asked == []


DAMAGE = {"gzip": ("bare", "cut", "two", "empty"), "zstd": ("bare", "cut", "two", "wrong", "empty")}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", BODY),
        ("gzip", gzip.compress(BODY)[:-5]),
        ("gzip", gzip.compress(BODY) + gzip.compress(b"{}")),
        ("gzip", b""),
        ("zstd", BODY),
        ("zstd", zstd(BODY)[:-3]),
        ("zstd", zstd(BODY) + zstd(b"{}")),
        ("zstd", b"\x28\xb5\x2f\xfd" + b"\xff" * 40),
        ("zstd", b""),
    ],
    # Named, because a gzip header holds the second it was made in: two test processes would collect different names.
    ids=[f"{name}-{fault}" for name, faults in DAMAGE.items() for fault in faults],
)
def test_damaged_packing_is_refused(at: GatewayBench, encoding: str, body: bytes) -> None:
    assert at.post(body=body, headers={"content-encoding": encoding}).status_code == 400
    assert at.provider.asked == []


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip_bomb(2**28)),
        ("zstd", zstd(bytes(2**28))),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**28))),
    ],
    ids=["gzip", "zstd", "zstd-unsized"],
)
def test_bombs_are_stopped_while_small(at: GatewayBench, encoding: str, bomb: bytes) -> None:
    """A quarter of a gigabyte from some kilobytes; what is unpacked stays under the cap on a body."""
    tracemalloc.start()
    try:
        answer = at.post(body=bomb, headers={"content-encoding": encoding})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert peak < 3 * bodies.MAX_BODY
    assert at.provider.asked == []


def zstd_with_window(exponent: int) -> bytes:
    """The body as it is, in a frame that asks for a window of 2**exponent bytes (RFC 8878, 3.1.1)."""
    block = len(BODY) << 3 | 1  # raw, and the last
    return b"\x28\xb5\x2f\xfd\x00" + bytes([exponent - 10 << 3]) + block.to_bytes(3, "little") + BODY


@pytest.mark.parametrize("exponent", [26, 31])
def test_a_frame_that_asks_for_a_window_larger_than_a_body_is_refused(at: GatewayBench, exponent: int) -> None:
    """Attack: some bytes, for which up to two gigabytes would be held."""
    headers = {"content-encoding": "zstd"}
    assert at.post(body=zstd_with_window(exponent), headers=headers).status_code == 400
    assert at.provider.asked == []
    assert at.post(body=zstd_with_window(25), headers=headers).status_code == 200, "nothing but the window was wrong"


def test_a_body_without_end_is_stopped(at: GatewayBench) -> None:
    piece = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    with at.connect() as made:
        made.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(200):
                made.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            raise AssertionError("200 MiB were taken")
    exchange = at.one()
    assert (exchange.outcome, exchange.status) == ("refused", 413)
    assert len(exchange.request) < 2**20


def test_all_bodies_together_have_one_room() -> None:
    room = bodies.BodyRoom(100)
    with room.share() as one:
        one.take(80)
        with room.share() as other, pytest.raises(bodies.BodyRefused) as refused:
            other.take(30)
        assert refused.value.status == 503
    with room.share() as again:
        again.take(100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"main-1"',
        b"null",
        b"{",
        BODY[:-1],
        BODY + b"{}",
        b"\xff" + BODY,
        BODY.decode().encode("utf-16"),
        b'{"model":"main-1","model":"other","messages":[]}',
        b'{"model":"main-1","max_tokens":NaN,"messages":[]}',
        b'{"model":"main-1","max_tokens":1e999,"messages":[]}',
        b'{"model":"main-1","max_tokens":' + b"9" * 5000 + b',"messages":[]}',
        b'{"model":"main-1","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"main-1","max_tokens":9,"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"\\ud800","max_tokens":9,"messages":[]}',
    ],
)
def test_json_that_is_none_or_ambiguous_is_refused(at: GatewayBench, body: bytes) -> None:
    assert at.post(body=body).status_code == 400
    assert at.provider.asked == []
    assert at.desk.exchanges[0].outcome == "refused"


@pytest.mark.parametrize("part", [b"[],", b"{},", b"0,", b'"",', b'{"a":0},'])
def test_a_tree_of_very_many_values_is_refused_before_it_is_built(part: bytes) -> None:
    body = b'{"model":"main-1","messages":[' + part * 1_100_000 + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(bodies.BodyRefused) as refused:
            bodies.parse(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status in (400, 413)
    assert peak < 2 * len(body)


def test_commas_and_brackets_in_text_are_allowed() -> None:
    text = '{"a":[1,2],"b":"\\\\"},' * 40_000
    assert bodies.parse(json.dumps({"text": text}).encode()) == {"text": text}


def test_letters_that_make_a_text_wide_take_room(at: GatewayBench) -> None:
    room = bodies.BodyRoom(1000)
    with room.share() as share:
        assert share.taken == 0
    wide = "a" * (app.ROOM // 5) + "\U0001f600"
    body = MESSAGES_BODY | {"messages": [{"role": "user", "content": wide}]}
    assert at.post(body=json.dumps(body, ensure_ascii=False).encode()).status_code in (200, 503)
    assert at.post().status_code == 200  # the room was given back


def test_a_large_body_passes_unchanged(at: GatewayBench) -> None:
    text = "wörd, " * app.LARGE
    assert at.post(body=MESSAGES_BODY | {"messages": [{"role": "user", "content": text}]}).status_code == 200
    assert json.loads(at.provider.asked[0].body)["messages"][0]["content"] == text


def test_what_a_filter_removes_is_on_record(at: GatewayBench) -> None:
    answer = at.post(body=MESSAGES_BODY | {"metadata": {"user_id": "u"}})
    assert answer.status_code == 200
    assert any("metadata" in change for change in at.desk.exchanges[0].changes)
    assert b"user_id" not in at.provider.asked[0].body
    assert b"user_id" in at.desk.exchanges[0].request


def test_a_tool_that_the_provider_runs_is_never_sent(at: GatewayBench) -> None:
    shut = {"tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "auto"}}
    at.post(body=MESSAGES_BODY | shut)
    assert not any(b"web_search" in asked.body for asked in at.provider.asked)
    assert at.post().status_code == 200
