"""Bytes that come over the sockets, changed in every way: taken or refused, within their bounds."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from curation_sandbox import conformance, protocol, submit_guard
from curation_sandbox.errors import CurationError
from curation_sandbox.gateway import bodies, headers
from curation_sandbox.gateway.bodies import BodyRefused, BodyRoom
from curation_sandbox.gateway.sse import EventReader
from curation_sandbox.gateway.usage import UsageReader
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.judging import UNKNOWN, Property
from mutations import CORPUS, corpus, examples, mutated, mutated_json, watched

REQUESTS = (
    protocol.CheckRequest,
    protocol.SubmitRequest,
    protocol.ReproduceRequest,
    protocol.SignalRequest,
)
SMALL = 20_000
HEADERS = (
    *("anthropic-version", "anthropic-beta", "x-openai-internal-codex-responses-lite"),
    *("authorization", "x-api-key", "cookie", "host"),
)


def walk(tree: Any) -> Iterator[Any]:
    yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from walk(inner)


@examples(150)
@given(mutated_json(corpus("submit")) | mutated(corpus("submit")))
def test_a_changed_body_is_read_as_strict_json_or_refused(data: bytes) -> None:
    with watched():
        try:
            tree = submit_guard.strict_json(data)
        except ValueError:
            return
    assert tree == json.loads(data)
    assert all(math.isfinite(value) for value in walk(tree) if isinstance(value, float))
    assert all(abs(value) < 10**20 for value in walk(tree) if isinstance(value, int))


@examples(150)
@given(mutated_json(corpus("submit")))
def test_a_request_of_the_protocol_names_no_place_outside_its_policy(data: bytes) -> None:
    try:
        tree = submit_guard.strict_json(data)
    except ValueError:
        return
    for model in REQUESTS:
        try:
            found = model.model_validate(tree)
        except ValidationError:
            continue
        for file in getattr(found, "policy", ()):
            path = PurePosixPath(file.path)
            assert not path.is_absolute()
            assert ".." not in path.parts
            assert len(file.path) <= 200


@examples(200)
@given(
    st.text(max_size=60) | st.sampled_from(("a/../../b", "/etc/passwd", "a//b", "a/./b", "a\\..\\b", "a\n", "a\x00b"))
)
def test_a_path_of_a_policy_is_a_plain_name(path: str) -> None:
    try:
        protocol.PolicyFile(path=path, blob="ab" * 32)
    except ValidationError:
        return
    assert path.isascii()
    assert all(part and not part.startswith(".") for part in path.split("/"))
    assert path.isprintable()


# -- requests to the model -------------------------------------------------------------------------


def asked(data: bytes, encoding: str | None, pieces: int = 3) -> Request:
    """A request whose body comes in pieces."""
    size = max(1, len(data) // pieces)
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]

    async def receive() -> dict[str, Any]:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    named = [(b"content-encoding", encoding.encode("latin-1", "replace"))] if encoding is not None else []
    return Request({"type": "http", "method": "POST", "path": "/", "headers": named}, receive)


def taken(data: bytes, encoding: str | None, room: int = 1_000_000) -> bytes | None:
    """The unpacked body; none where it is refused. The room is as large afterwards as before."""
    shared = BodyRoom(room)
    try:
        with shared.share() as share:
            body = asyncio.run(bodies.read(asked(data, encoding), share))
            assert share.taken >= len(body)
            return body
    except BodyRefused:
        return None
    finally:
        shared.take(room)


def _packed(draw: st.DrawFn) -> tuple[bytes, str]:
    wide = b"\xf0\x9f\x98\x80" * 9000
    plain = draw(st.sampled_from((*corpus("model-request"), b"0" * 200_000, wide, b"", b"[" * 9000)))
    kind = draw(st.sampled_from(("gzip", "zstd", "zlib", "twice", "frames", "window")))
    if kind == "zstd":
        return zstandard.compress(plain), "zstd"
    if kind == "zlib":
        return zlib.compress(plain), "gzip"
    if kind == "twice":
        return gzip.compress(gzip.compress(plain)), "gzip"
    if kind == "frames":
        return zstandard.compress(plain) * 3, "zstd"
    if kind == "window":
        described = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
        return zstandard.ZstdCompressor(compression_params=described).compress(plain), "zstd"
    return gzip.compress(plain), "gzip"


@st.composite
def packed(draw: st.DrawFn) -> tuple[bytes, str]:
    """A packed body, whole or damaged, and the encoding that it says it has."""
    data, encoding = _packed(draw)
    others = ("zstd", "gzip", "identity", "br", "gzip, gzip", "\xff")
    encoding = draw(st.sampled_from((encoding,) * 4 + others))
    return draw(mutated([data], most=2)), encoding


@examples(60)
@given(packed())
def test_a_changed_packed_body_unpacks_within_its_bound_or_is_refused(given: tuple[bytes, str]) -> None:
    data, encoding = given
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "MAX_BODY", SMALL)
        body = taken(data, encoding)
    assert body is None or len(body) <= SMALL


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("letter", [b"0", "\U0001f600".encode()], ids=["plain", "wide"])
def test_a_bomb_takes_no_more_room_than_there_is(encoding: str, letter: bytes) -> None:
    plain = letter * (8_000_000 // len(letter))
    data = gzip.compress(plain, 9) if encoding == "gzip" else zstandard.compress(plain, 9)
    assert len(data) < 50_000
    assert taken(data, encoding, room=2_000_000) is None


@examples(60)
@given(mutated_json(corpus("model-request")) | mutated(corpus("model-request")))
def test_a_changed_request_to_the_model_is_an_object_or_refused(data: bytes) -> None:
    with watched():
        try:
            tree = bodies.parse(data)
        except BodyRefused:
            return
    assert isinstance(tree, dict)


@examples(100)
@given(st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=40)))
def test_headers_to_the_provider_are_plain_and_none_of_the_agents_own(given: dict[str, str]) -> None:
    for wire in (*Wire, None):
        sent, _ = headers.for_provider(given, wire, stream=True)
        assert not {"authorization", "x-api-key", "cookie", "host"} & sent.keys()
        assert all(value.isascii() and value.isprintable() for value in sent.values())


# -- replies of the model --------------------------------------------------------------------------


@examples(200)
@given(mutated(corpus("model-reply")), st.lists(st.integers(0, 3000), max_size=6))
def test_a_changed_reply_is_metered_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[begin:end] for begin, end in itertools.pairwise(ends)]
    with watched():
        whole, cut = EventReader(2000), EventReader(2000)
        events = whole.feed(data)
        assert [event for piece in pieces for event in cut.feed(piece)] == events
        assert all(len(event) <= 2000 for event in events)
        for wire in Wire:
            for stream in (True, False):
                used = usage_of(wire, pieces, stream=stream)
                assert used == usage_of(wire, [data], stream=stream)
                assert 0 <= min(used) <= max(used) <= 2**54


def usage_of(wire: Wire, pieces: list[bytes], *, stream: bool) -> tuple[int, ...]:
    reader = UsageReader(wire, stream)
    for piece in pieces:
        reader.feed(piece)
    found = reader.usage()
    assert len(reader.reply_id or "") <= 1000
    assert reader.tokens_seen >= 0
    return (
        (0,) if found is None else (found.input, found.output, found.cache_read, found.cache_write, found.reasoning)
    )


# -- what a container of the self-check prints -----------------------------------------------------


@examples(200)
@given(mutated_json(corpus("findings")) | mutated(corpus("findings")))
def test_changed_findings_of_the_self_check_are_an_object_or_none(data: bytes) -> None:
    with watched():
        found = conformance.read_findings(data)
        properties = judged(found) if found is not None else []
    assert found is None or isinstance(found, dict)
    assert all(one.detail.isprintable() for one in properties)


def judged(found: dict[str, Any]) -> list[Property]:
    """None where the findings are refused."""
    try:
        return conformance.judged(found, UNKNOWN, "a-stranger")
    except CurationError:
        return []


def test_findings_with_a_number_beyond_all_floats_are_refused() -> None:
    found = json.loads((CORPUS / "findings" / "whole.json").read_bytes())
    found["size"]["/tmp"]["bytes"] = 10**400
    with pytest.raises(CurationError, match=r"a-stranger is not what it prints: OverflowError"):
        conformance.judged(found, UNKNOWN, "a-stranger")


def test_what_a_terminal_obeys_is_not_in_a_detail() -> None:
    found = json.loads((CORPUS / "findings" / "whole.json").read_bytes())
    found["hostname"], found["interfaces"] = "\x1b[2J\x1b]0;mine\x07\n", ["\u202e", "x" * 10**6]
    properties = conformance.judged(found, UNKNOWN, "a-stranger")
    assert {one.name for one in properties if not one.holds} >= {"host's name hidden", "loopback only"}
    assert all(one.detail.isprintable() and len(one.detail) <= 1000 for one in properties)
    assert conformance._end_of(bytearray(b"no\x1b[2J python3\n")) == "no [2J python3"


def test_the_corpus_is_what_the_parsers_take() -> None:
    for data in corpus("model-request"):
        assert bodies.parse(data)
    assert len(conformance.judged(json.loads(*corpus("findings")), UNKNOWN, "base")) > 30
    assert protocol.SubmitRequest.model_validate_json((CORPUS / "submit" / "submission.json").read_bytes())
    assert protocol.SignalRequest.model_validate_json((CORPUS / "submit" / "signal.json").read_bytes())
    assert issubclass(ClientDisconnect, Exception)
