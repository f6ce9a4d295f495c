"""Request bodies as attacks: bombs, damaged packing, JSON that two readers would read differently."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from gateway_bench import Bench, asking, bench, request

from curation_sandbox.gateway import app, bodies
from curation_sandbox.gateway.filters.shape import MOST_PARTS

ASKING = json.dumps(asking()).encode()


@pytest.fixture
def at() -> Iterator[Bench]:
    with bench() as made:
        yield made


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
def test_packed_bodies_are_taken(at: Bench, encoding: str, pack: type) -> None:
    assert at.post(pack(ASKING), **{"content-encoding": encoding}).status_code == 200
    assert json.loads(at.provider.asks[0].body)["messages"] == asking()["messages"]
    assert at.desk.exchanges[0].request == ASKING
    assert "content-encoding" not in at.provider.asks[0].headers


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip,zstd", "zstd\tgzip", "x" * 300, "utf-8"])
def test_other_and_chained_encodings_are_refused(at: Bench, encoding: str) -> None:
    assert at.post(gzip.compress(ASKING), **{"content-encoding": encoding}).status_code == 415
    assert at.provider.asks == []


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", ASKING),
        ("gzip", gzip.compress(ASKING)[:-5]),
        ("gzip", gzip.compress(ASKING) + gzip.compress(b"{}")),
        ("gzip", b""),
        ("zstd", ASKING),
        ("zstd", zstd(ASKING)[:-3]),
        ("zstd", zstd(ASKING) + zstd(b"{}")),
        ("zstd", b"\x28\xb5\x2f\xfd" + b"\xff" * 40),
        ("zstd", b""),
    ],
)
def test_damaged_packing_is_refused(at: Bench, encoding: str, body: bytes) -> None:
    assert at.post(body, **{"content-encoding": encoding}).status_code == 400
    assert at.provider.asks == [] and at.errors == []


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip_bomb(2**28)),
        ("zstd", zstd(bytes(2**28))),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(bytes(2**28))),
    ],
)
def test_bombs_are_stopped_while_small(at: Bench, encoding: str, bomb: bytes) -> None:
    """A quarter of a gigabyte from some kilobytes; what is unpacked stays under the cap on a body."""
    tracemalloc.start()
    try:
        answer = at.post(bomb, **{"content-encoding": encoding})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert peak < 3 * bodies.MAX_BODY
    assert at.provider.asks == []


def test_a_body_without_end_is_stopped(at: Bench) -> None:
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
    (exchange,) = at.desk.wait()
    assert (exchange.outcome, exchange.status) == ("refused", 413)
    assert len(exchange.request) < 2**20


def test_all_bodies_together_have_one_room(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ASKING[:-1],
        ASKING + b"{}",
        b"\xff" + ASKING,
        ASKING.decode().encode("utf-16"),
        b'{"model":"main-1","model":"other","messages":[]}',
        b'{"model":"main-1","max_tokens":NaN,"messages":[]}',
        b'{"model":"main-1","max_tokens":1e999,"messages":[]}',
        b'{"model":"main-1","max_tokens":' + b"9" * 5000 + b',"messages":[]}',
        b'{"model":"main-1","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"main-1","max_tokens":9,"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"\\ud800","max_tokens":9,"messages":[]}',
    ],
)
def test_json_that_is_none_or_ambiguous_is_refused(at: Bench, body: bytes) -> None:
    assert at.post(body).status_code == 400
    assert at.provider.asks == [] and at.errors == []
    assert at.desk.exchanges[0].outcome == "refused"


@pytest.mark.parametrize("part", [b"[],", b"{},", b"0,", b'"",', b'{"a":0},'])
def test_a_tree_of_very_many_values_is_refused_before_it_is_built(part: bytes) -> None:
    body = b'{"model":"main-1","messages":[' + part * (MOST_PARTS * 2) + b"0]}"
    tracemalloc.start()
    try:
        with pytest.raises(bodies.BodyRefused, match="values"):
            bodies.parse(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)


def test_commas_and_brackets_in_text_are_no_values() -> None:
    text = '{"a":[1,2],"b":"\\\\"},' * 40_000
    assert bodies.parse(json.dumps({"text": text}).encode()) == {"text": text}


def test_a_large_body_passes_unchanged(at: Bench) -> None:
    text = "wörd, " * app.LARGE
    assert at.post(asking(messages=[{"role": "user", "content": text}])).status_code == 200
    assert json.loads(at.provider.asks[0].body)["messages"][0]["content"] == text


def test_what_a_filter_removes_is_on_record(at: Bench) -> None:
    answer = at.post(asking(metadata={"user_id": "u"}))
    assert answer.status_code == 200
    assert any("metadata" in change for change in at.desk.exchanges[0].changes)
    assert b"user_id" not in at.provider.asks[0].body and b"user_id" in at.desk.exchanges[0].request


def test_a_tool_that_the_provider_runs_is_never_sent(at: Bench) -> None:
    at.post(
        asking(
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
            tool_choice={"type": "tool", "name": "web_search"},
        )
    )
    assert not any(b"web_search" in ask.body for ask in at.provider.asks)
    raw = at.raw(request(ASKING))
    assert raw.startswith(b"HTTP/1.1 200")
