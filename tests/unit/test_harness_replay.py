"""Replays: what may differ, where a request stands, what it is compared with, and which reply it gets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_harness.record.exchanges import ExchangeLog
from curation_harness.replay import normalise
from curation_harness.replay.compare import Difference, compare
from curation_harness.replay.lanes import Lanes, lane_of
from curation_harness.replay.source import RecordedSource
from curation_sandbox.gateway.desk import ProviderFailed, ReplyCut, ReplyRefused
from curation_sandbox.gateway.exchange import Ask, Chunk
from curation_sandbox.gateway.passing import BROKE_OFF, NO_FAULT
from curation_sandbox.gateway.wires import Wire
from test_harness_exchanges import exchange

PATH = "/v1/messages?beta=true"


def body(*turns: str, system: str = "you curate", **more: Any) -> bytes:
    """A request after these turns of a conversation, the user's first."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
    return json.dumps({"model": "m", "system": system, "messages": messages, **more}).encode()


# -- the written rules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("session 48b508a4-af1f-5648-896b-7f5d8864d5bb", "session 0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("toolu_01AbCdEfGh said", "toolu_99ZzYyXxWw said"),
        ("it took 0.82s", "it took 12 s"),
        ("Wall time: 0.0500", "Wall time: 1.25"),
        ("real\t0m0.102s", "real\t0m3.2s"),
        ("took 12 s", "took 0.8s"),
        ("duration_ms: 812", "duration_ms: 91011"),
        ("agentId: a1b2c3d", "agentId: 0f9e8d7"),
        ("./b\n./a\n./c/d\nend", "./a\n./c/d\n./b\nend"),
        (
            "-rw-r--r-- 1 a a 1 Nov 21 07:53 x\n-rw-r--r-- 1 a a 22 Nov 21 07:53 y",
            "-rw-r--r-- 1 a a 9 Nov 21 08:53 y\n-rw-r--r-- 1 a a  8 Nov 21 07:00 x",
        ),
        ("on 2026-11-21 at 07:53:43", "on 2027-01-02 at 23:00:01"),
        ("2026-11-21T07:53:43.123Z", "2026-11-22T00:00:00+00:00"),
        ("Sat Nov 21 07:53:43 UTC 2026", "Sun Jan  3 00:00:00 UTC 2027".replace("  ", " ")),
        (
            "-rw-r--r-- 1 agent agent 4096 Nov 21 07:53 rows.txt",
            "-rw-r--r-- 2 agent agent  812 Jan  3 09:01 rows.txt",
        ),
        ("/proc/123/status and pid 77", "/proc/9/status and pid 1234"),
        ("wrote /tmp/tmpab12cd34/x.py", "wrote /tmp/tmpzz98yy76/x.py"),
        ("<object at 0x7fd1a823f390>", "<object at 0x7f00a8231110>"),
        ("  agent time   3599.24   0.76  3600 seconds", "  agent time    3598.5  1.420  3600 seconds"),
        ("  model tokens  no limit   1010  no limit tokens", "  model tokens  no limit  0  no limit tokens"),
        ('{"name": "agent time", "limit": 3600, "spent": 0.5}', '{"name": "agent time", "limit": 3600, "spent": 7}'),
        ("Chunk ID: d0825a", "Chunk ID: e7a8f2"),
        ("CLAUDE_CODE_MESSAGING_TOKEN=q9-Zx/+a=", "CLAUDE_CODE_MESSAGING_TOKEN=0f"),
        (
            "CLAUDE_CODE_MESSAGING_SOCKET=/run/a1/m.sock\nHOME=/",
            "CLAUDE_CODE_MESSAGING_SOCKET=/run/zz/m.sock\nHOME=/",
        ),
        ('{"CLAUDE_CODE_MESSAGING_TOKEN": "ab", "A": "1"}', '{"CLAUDE_CODE_MESSAGING_TOKEN": "cd", "A": "1"}'),
        ("{'CLAUDE_CODE_MESSAGING_TOKEN': 'ab'}", "{'CLAUDE_CODE_MESSAGING_TOKEN': 'cd'}"),
        ("blanks   \nat ends", "blanks\nat ends"),
    ],
)
def test_what_says_nothing_is_the_same(one, other):
    assert normalise.text(one) == normalise.text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("attempt 1 scored 0.5625", "attempt 1 scored 0.5626"),
        ("accepted: 20 rows", "accepted: 21 rows"),
        ("rows.txt", "row.txt"),
        ("-rw-r--r-- 1 agent agent 9 Nov 21 07:53 a", "-rw-r--r-- 1 agent agent 9 Nov 21 07:53 b"),
        ("iterations 3 1 4 attempts", "iterations 2 2 4 attempts"),
        ("user: 12 of 20", "user: 13 of 20"),
        ("b\na", "a\nb"),
        ("./a\n./b", "./a\n./c"),
        ("seed 1630615780", "seed 1630615781"),
        ("digest 3fa4b1", "digest 3fa4b2"),
        ("CLAUDE_CODE_MESSAGING_TOKEN=ab", "CLAUDE_CODE_MESSAGING_SOCKET=ab"),
        ('{"CLAUDE_CODE_MESSAGING_TOKEN": "ab", "A": "1"}', '{"CLAUDE_CODE_MESSAGING_TOKEN": "ab", "A": "2"}'),
    ],
)
def test_what_says_something_is_not_normalised_away(one, other):
    assert normalise.text(one) != normalise.text(other)


@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        " ",
        'agent time"',
        "agent time ",
        "-rw-r--r-- 1 a b 1 ",
        "-rw-r--r--\n",
        "./a\n",
        "/tmp/a.-",
        "took=",
        "call_",
        "CLAUDE_CODE_MESSAGING_TOKEN=",
        "CLAUDE_CODE_MESSAGING_TOKEN'",
        "1.",
        "Jan ",
    ],
)
def test_a_long_text_made_to_be_slow_is_not(piece):
    """A rule that looks at the rest of the text from every place in it would take hours; the time-out is minutes."""
    assert normalise.text(piece * (2_000_000 // len(piece)) + "x")


DRAWN = "CLAUDE_CODE_MESSAGING_TOKEN=|CLAUDE_CODE_MESSAGING_SOCKET: '"
MEANT = f"{DRAWN}|2026-11-21| |\n|\r|12 s|took |agent time|1|.|/tmp/|abcdef|./|-rw-r--r-- |Jan "
pieces = st.sampled_from(MEANT.split("|"))


@given(st.text() | st.lists(pieces, max_size=12).map("".join))
def test_normalising_twice_is_normalising_once(text):
    once = normalise.text(text)
    assert normalise.text(once) == once


# -- comparing ---------------------------------------------------------------------------------------


def difference(before: bytes, after: bytes) -> Difference:
    return compare(before, after, set())


def blocks(*content: dict[str, Any]) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": list(content)}]}).encode()


@pytest.mark.parametrize(
    ("before", "after", "kind", "where"),
    [
        (body("hi"), body("hi"), "identical", ""),
        (body("at 10:00:00"), body("at 11:00:00"), "equal", ""),
        (body("hi"), body("ho"), "text", "messages[0].content"),
        (body("hi", system="a"), body("hi", system="b"), "prompt", "system"),
        (body("hi", tools=[{"name": "a"}]), body("hi", tools=[{"name": "b"}]), "tools", "tools[0].name"),
        (body("hi", max_tokens=1), body("hi", max_tokens=2), "settings", "max_tokens"),
        (body("hi"), body("hi", temperature=1), "settings", "temperature"),
        (body("hi", "yes"), body("hi"), "length", "messages[1]"),
        (
            blocks({"type": "tool_result", "tool_use_id": "a", "content": "1 row"}),
            blocks({"type": "tool_result", "tool_use_id": "b", "content": "2 rows"}),
            "tool-result",
            "messages[0].content[0].content",
        ),
        (
            blocks({"type": "tool_use", "id": "a", "name": "Bash", "input": {"command": "ls"}}),
            blocks({"type": "tool_use", "id": "a", "name": "Bash", "input": {"command": "rm"}}),
            "tool-call",
            "messages[0].content[0].input.command",
        ),
        (
            json.dumps({"input": [{"type": "function_call_output", "output": "a"}]}).encode(),
            json.dumps({"input": [{"type": "function_call_output", "output": "b"}]}).encode(),
            "tool-result",
            "input[0].output",
        ),
        (
            json.dumps({"messages": [{"role": "tool", "tool_call_id": "x", "content": "a"}]}).encode(),
            json.dumps({"messages": [{"role": "tool", "tool_call_id": "y", "content": "b"}]}).encode(),
            "tool-result",
            "messages[0].content",
        ),
        (b"no json", b"none either", "settings", ""),
    ],
)
def test_a_difference_is_told_by_its_kind_and_place(before, after, kind, where):
    found = difference(before, after)
    assert (found.kind, found.where) == (kind, where)


@pytest.mark.parametrize("kind", ["text", "tool_result"])
def test_a_mark_for_the_providers_cache_says_nothing(kind):
    block = {"type": kind, "text" if kind == "text" else "content": "a"}
    marked = {**block, "cache_control": {"type": "ephemeral"}}
    assert difference(blocks(block), blocks(marked)).kind == "equal"


def test_the_line_that_differs_is_shown_not_the_whole_text():
    found = difference(body("one\ntwo\nthree"), body("one\n2\nthree"))
    assert (found.before, found.after) == ("two", "2")


def test_a_difference_that_a_conversation_carries_on_is_told_once():
    known: set[Difference] = set()
    assert compare(body("a"), body("b"), known).kind == "text"
    assert compare(body("a", "x"), body("b", "x"), known).kind == "carried"
    assert compare(body("a", "x"), body("b", "y"), known).where == "messages[1].content"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["messages", "role", "type", "x"]), inner)
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_any_two_bodies_can_be_compared(one, other):
    found = difference(json.dumps(one).encode(), json.dumps(other).encode())
    assert found.kind
    if json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True):  # to Python, False is 0
        assert found.kind in ("identical", "equal")


# -- lanes and replies -------------------------------------------------------------------------------


def record(folder: Path, *requests: bytes, **more: Any) -> ExchangeLog:
    log = ExchangeLog(folder)
    for id, request in enumerate(requests, start=1):
        reply = (Chunk(0.1, f"reply {id} ".encode()), Chunk(0.2, b"end"))
        given = {"request": request, "sent": request, "path": PATH, "chunks": reply}
        log.append(exchange(id, **(given | more)), 1, None)
    return log


def test_a_conversation_is_known_by_its_beginning_alone():
    assert lane_of(PATH, body("go")) == lane_of(PATH, body("go", "ok", "next"))
    assert lane_of(PATH, body("go")) != lane_of(PATH, body("stop"))
    assert lane_of(PATH, body("go")) != lane_of(PATH, body("go", system="sub-agent"))
    assert lane_of(PATH, body("go at 10:00:00")) == lane_of(PATH, body("go at 11:11:11"))


def test_conversations_side_by_side_get_each_their_own_replies(tmp_path):
    a = [body("a"), body("a", "1", "2")]
    b = [body("b"), body("b", "1", "2")]
    lanes = Lanes(record(tmp_path, a[0], b[0], a[1], b[1]))
    taken = [lanes.take(PATH, request) for request in (b[0], b[1], a[0], a[1])]
    assert [one.entry.id for one in taken if one] == [2, 4, 1, 3]
    assert lanes.left() == ()


def test_the_same_request_gets_its_own_reply_whatever_the_order(tmp_path):
    lanes = Lanes(record(tmp_path, body("a"), body("a", "1", "x"), body("a", "1", "y")))
    assert lanes.take(PATH, body("a", "1", "y")).entry.id == 3
    assert lanes.take(PATH, body("a")).entry.id == 1


def test_a_request_that_differs_gets_the_next_reply_of_its_conversation(tmp_path):
    lanes = Lanes(record(tmp_path, body("a"), body("a", "1", "x")))
    assert lanes.take(PATH, body("a")).entry.id == 1
    assert lanes.take(PATH, body("a", "1", "changed")).entry.id == 2
    assert lanes.take(PATH, body("a", "1", "changed", "2", "more")) is None


def test_marks_for_the_providers_cache_make_no_other_conversation():
    block = {"type": "text", "text": "go"}
    packed = [
        json.dumps({"system": "s", "messages": [{"role": "user", "content": content}]}).encode()
        for content in ("go", [block], [{**block, "cache_control": {"type": "ephemeral"}}])
    ]
    assert len({lane_of(PATH, request) for request in packed}) == 1


def test_a_conversation_that_goes_on_longer_takes_no_reply_of_another(tmp_path):
    lanes = Lanes(record(tmp_path, body("a"), body("b")))
    assert lanes.take(PATH, body("a")).entry.id == 1
    assert lanes.take(PATH, body("a", "1", "more")) is None
    assert lanes.take(PATH, body("b")).entry.id == 2


def test_a_changed_conversation_follows_one_recorded_conversation_to_its_end(tmp_path):
    lanes = Lanes(record(tmp_path, body("a"), body("b"), body("a", "1", "2"), body("b", "1", "2")))
    requests = (body("A"), body("B"), body("B", "1", "2"), body("A", "1", "2"))
    assert [lanes.take(PATH, request).entry.id for request in requests] == [1, 2, 4, 3]


def test_of_equal_conversations_side_by_side_each_gets_the_reply_to_its_own(tmp_path):
    """Two sub-agents with the same task: what their commands printed tells them apart, times in it do not."""
    lanes = Lanes(record(tmp_path, body("a"), body("a"), body("a", "1", "x 3 s"), body("a", "2", "y 4 s")))
    requests = (body("a"), body("a"), body("a", "2", "y 1 s"), body("a", "1", "x 1 s"))
    taken = [lanes.take(PATH, request) for request in requests]
    assert [(one.entry.id, one.in_order) for one in taken] == [(1, True), (2, True), (4, False), (3, True)]


def test_a_body_nested_without_end_is_compared_as_it_is(tmp_path):
    deep = b'{"messages": [' + b"[" * 450 + b"]" * 450 + b"]}"
    deeper = deep.replace(b"[" * 450, b"[" * 100_000).replace(b"]" * 450, b"]" * 100_000)
    for request in (deep, deeper):
        assert lane_of(PATH, request)
        assert compare(request, request + b" ", set()).kind in ("equal", "settings")
        assert normalise.digest(request)


def test_an_unknown_conversation_gets_the_runs_next_reply(tmp_path):
    lanes = Lanes(record(tmp_path, body("a"), body("b")))
    assert lanes.take(PATH, body("who is this")).entry.id == 1
    assert lanes.take("/v1/responses", body("a")) is None


def ask(request: bytes) -> Ask:
    return Ask(1, "POST", PATH, "generate", Wire.MESSAGES, "m", "m", {}, request, stream=True)


def replies(source: RecordedSource, *requests: bytes) -> list[bytes]:
    async def all_of_them() -> list[bytes]:
        found = []
        for request in requests:
            async with source.open(ask(request)) as reply:
                assert reply.status == 200
                found.append(b"|".join([piece async for piece in reply.body]))
        await source.close()
        return found

    return asyncio.run(all_of_them())


def test_replies_come_in_their_recorded_pieces(tmp_path):
    source = RecordedSource(record(tmp_path, body("a"), body("a", "1", "x")))
    assert replies(source, body("a"), body("a", "1", "x")) == [b"reply 1 |end", b"reply 2 |end"]
    assert [request.kind for request in source.requests] == ["identical", "identical"]
    assert source.left() == ()


def test_one_request_too_many_is_refused_and_told(tmp_path):
    source = RecordedSource(record(tmp_path, body("a")))
    with pytest.raises(ReplyRefused, match="went another way"):
        replies(source, body("a"), body("a", "1", "more"))
    assert [request.kind for request in source.requests] == ["identical", "extra"]


def test_a_reply_nobody_asked_for_is_told(tmp_path):
    source = RecordedSource(record(tmp_path, body("a"), body("b")))
    replies(source, body("b"))
    assert source.left() == (1,)


def test_a_recorded_failure_fails_again(tmp_path):
    down = record(
        tmp_path / "down", body("a"), outcome="provider-error", status=503, reason=f"HTTP 503{NO_FAULT}", chunks=()
    )
    with pytest.raises(ProviderFailed, match=r"^HTTP 503$"):
        replies(RecordedSource(down), body("a"))
    cut = record(tmp_path / "cut", body("a"), outcome="cut", reason=f"{BROKE_OFF}: ReadError")
    with pytest.raises(ReplyCut, match=r"^ReadError$"):
        replies(RecordedSource(cut), body("a"))


def test_what_the_gateway_refused_it_refuses_again_by_itself(tmp_path):
    log = record(tmp_path, body("a"))
    log.append(exchange(2, outcome="refused", status=400, sent=None), 1, None)
    log.append(exchange(3, outcome="budget", status=400, sent=None), 1, None)
    assert RecordedSource(log).left() == (1,)
