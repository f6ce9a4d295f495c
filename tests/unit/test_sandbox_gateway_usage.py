"""Tokens read from replies: the three wires' own figures, in streams cut anywhere, from bytes of any kind."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_sandbox.gateway.exchange import Usage
from curation_sandbox.gateway.sse import EventReader
from curation_sandbox.gateway.usage import UsageReader
from curation_sandbox.gateway.wires import Wire
from filter_bodies import sse

MESSAGES_EVENTS: list[Any] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "usage": {
                "input_tokens": 7,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 1000,
                "output_tokens": 1,
            },
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "delta": {"type": "text_delta", "text": 'a line\n\ndata: {"type":"message_stop"}'},
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 50, "input_tokens": 0, "output_tokens_details": {"thinking_tokens": 20}},
    },
    {"type": "message_stop"},
]
MESSAGES_USAGE = Usage(input=1107, output=50, cache_read=1000, cache_write=100, reasoning=20)
RESPONSE = {
    "id": "resp_1",
    "status": "completed",
    "usage": {
        "input_tokens": 300,
        "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 10},
        "total_tokens": 340,
    },
}
RESPONSES_EVENTS: list[Any] = [
    {"type": "response.created", "response": {"id": "resp_1", "usage": None}},
    {"type": "response.output_text.delta", "delta": "response.completed"},
    {"type": "response.completed", "response": RESPONSE},
]
RESPONSES_USAGE = Usage(input=300, output=40, cache_read=200, cache_write=30, reasoning=10)
CHAT_FIGURES = {
    "prompt_tokens": 60,
    "completion_tokens": 9,
    "total_tokens": 69,
    "prompt_tokens_details": {"cached_tokens": 50},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
CHAT_EVENTS: list[Any] = [
    {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}], "usage": None},
    {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "chatcmpl-1", "choices": [], "usage": CHAT_FIGURES},
    "[DONE]",
]
CHAT_USAGE = Usage(input=60, output=9, cache_read=50, cache_write=0, reasoning=4)
STREAMS = {
    Wire.MESSAGES: (MESSAGES_EVENTS, MESSAGES_USAGE, "msg_1"),
    Wire.RESPONSES: (RESPONSES_EVENTS, RESPONSES_USAGE, "resp_1"),
    Wire.CHAT: (CHAT_EVENTS, CHAT_USAGE, "chatcmpl-1"),
}
WHOLE = {
    Wire.MESSAGES: {"id": "msg_1", "usage": {**MESSAGES_EVENTS[0]["message"]["usage"], "output_tokens": 50}},
    Wire.RESPONSES: RESPONSE,
    Wire.CHAT: {"id": "chatcmpl-1", "choices": [{"finish_reason": "stop"}], "usage": CHAT_FIGURES},
}


def read(wire: Wire, *pieces: bytes, stream: bool = True) -> UsageReader:
    reader = UsageReader(wire, stream)
    for piece in pieces:
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("wire", Wire)
def test_the_usage_of_a_stream(wire: Wire, newline: str) -> None:
    events, usage, reply_id = STREAMS[wire]
    data = sse(*events, newline=newline)
    for pieces in ([data], [data[n : n + 1] for n in range(len(data))]):
        reader = read(wire, *pieces)
        assert (reader.usage(), reader.finished, reader.reply_id) == (usage, True, reply_id)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_stream_may_be_cut_into_any_pieces(data: st.DataObject) -> None:
    wire = data.draw(st.sampled_from(list(Wire)))
    events, usage, _ = STREAMS[wire]
    whole = b"\xef\xbb\xbf: hello\r\n\r\n" + sse(*events, newline=data.draw(st.sampled_from(["\n", "\r\n", "\r"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])]
    reader = read(wire, *pieces)
    assert reader.usage() == usage
    assert reader.finished


@pytest.mark.parametrize("wire", Wire)
def test_a_stream_that_breaks_off_is_not_finished(wire: Wire) -> None:
    events, _, reply_id = STREAMS[wire]
    reader = read(wire, sse(events[0]), sse(events[-1])[:-3])
    assert not reader.finished
    assert reader.reply_id == reply_id


def test_a_stream_that_ends_in_an_error_is_not_finished() -> None:
    reader = read(Wire.MESSAGES, sse(*MESSAGES_EVENTS[:3], {"type": "error", "error": {"type": "overloaded_error"}}))
    assert not reader.finished
    usage = reader.usage()
    assert usage is not None
    assert usage.input == 1107


@pytest.mark.parametrize("kind", ["response.completed", "response.failed", "response.incomplete"])
def test_every_end_of_a_response_is_an_end(kind: str) -> None:
    reader = read(Wire.RESPONSES, sse({"type": kind, "response": RESPONSE}))
    assert reader.finished
    assert reader.usage() == RESPONSES_USAGE


def test_a_chat_stream_ends_with_done_or_with_a_finish_reason() -> None:
    assert read(Wire.CHAT, sse("[DONE]")).finished
    assert read(Wire.CHAT, sse(CHAT_EVENTS[1])).finished
    assert not read(Wire.CHAT, sse(CHAT_EVENTS[0])).finished
    assert not read(Wire.MESSAGES, sse("[DONE]")).finished


@pytest.mark.parametrize("wire", Wire)
def test_the_usage_of_a_plain_reply(wire: Wire) -> None:
    data = json.dumps(WHOLE[wire]).encode()
    reader = read(wire, data[:20], stream=False)
    assert not reader.finished
    assert reader.usage() is None
    for n in range(20, len(data)):
        reader.feed(data[n : n + 1])
    assert reader.finished
    assert reader.reply_id == STREAMS[wire][2]
    usage = reader.usage()
    assert usage is not None
    assert usage.input == STREAMS[wire][1].input
    assert usage.output == STREAMS[wire][1].output


@pytest.mark.parametrize("wire", Wire)
def test_an_error_reply_is_whole_and_has_no_usage(wire: Wire) -> None:
    reader = read(wire, b'{"type": "error", "error": {"message": "no"}}', stream=False)
    assert reader.finished
    assert reader.usage() is None


def test_a_count_of_tokens_is_no_usage() -> None:
    assert read(Wire.MESSAGES, b'{"input_tokens": 12}', stream=False).usage() is None


def test_a_request_sampled_several_times_is_counted_several_times() -> None:
    figures = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "compaction", "input_tokens": 100, "output_tokens": 50},
            {"type": "message", "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3},
        ],
    }
    reader = read(Wire.MESSAGES, json.dumps({"usage": figures}).encode(), stream=False)
    assert reader.usage() == Usage(input=113, output=55, cache_read=3)


@pytest.mark.parametrize("figures", [{"prompt_cache_hit_tokens": 50}, {"cached_tokens": 50}])
def test_other_servers_names_for_cached_tokens(figures: dict[str, int]) -> None:
    reply = {"usage": {"prompt_tokens": 60, "completion_tokens": 1, **figures}}
    assert read(Wire.CHAT, json.dumps(reply).encode(), stream=False).usage() == Usage(60, 1, cache_read=50)


def test_figures_on_every_chunk_are_not_added_up() -> None:
    chunks = [{"usage": {"prompt_tokens": 60, "completion_tokens": n}} for n in (1, 2, 3)]
    assert read(Wire.CHAT, sse(*chunks)).usage() == Usage(60, 3)


@pytest.mark.parametrize("count", [-1, True, "7", None, [7], 2**60, 1e300, {"a": 1}])
@pytest.mark.parametrize("wire", Wire)
def test_figures_without_sense_count_as_none(wire: Wire, count: Any) -> None:
    names = ("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "input_tokens_details")
    usage = dict.fromkeys((*names, "prompt_tokens_details", "output_tokens_details", "iterations"), count)
    reader = read(wire, json.dumps({"usage": usage, "id": count}).encode(), stream=False)
    assert reader.usage() == Usage()


ODD = [
    b"",
    b"\x00\xff\xfe",
    b"data: {\n\n",
    b"data: [1]\n\n",
    b"data: null\n\n",
    b"data\n\n",
    b'data: {"type": ["message_stop"]}\n\n',
    b'data: {"type": "message_start", "message": []}\n\n',
    b'data: {"type": "response.completed", "response": "x", "choices": {}}\n\n',
    b'data: {"choices": [null, 3, {"finish_reason": []}]}\n\n',
    b"data: " + b"[" * 100_000 + b"\n\n",
    b"data: " + b"9" * 100_000 + b"\n\n",
    b'data: {"id": "' + b"x" * 100_000 + b'"}\n\n',
    b"data: \xed\xa0\x80\n\n",
]


@pytest.mark.parametrize("odd", range(len(ODD)))
@pytest.mark.parametrize("wire", Wire)
def test_odd_bytes_are_read_over(wire: Wire, odd: int) -> None:
    events, usage, _ = STREAMS[wire]
    reader = read(wire, ODD[odd], b"\n\n", sse(*events))
    assert reader.usage() == usage
    assert len(reader.reply_id or "") <= 256
    plain = read(wire, ODD[odd].removeprefix(b"data: ").strip(), stream=False)
    assert plain.usage() is None


@given(pieces=st.lists(st.binary(max_size=50)), stream=st.booleans(), wire=st.sampled_from(list(Wire)))
def test_no_bytes_raise(pieces: list[bytes], stream: bool, wire: Wire) -> None:
    reader = read(wire, *pieces, stream=stream)
    assert reader.usage() is None
    assert reader.reply_id is None


def test_data_on_several_lines_is_one_event() -> None:
    assert EventReader().feed(b'data: {"a":\ndata:1}\nid: 7\nretry: 1\n: ping\n\n') == [b'{"a":\n1}']


def test_an_event_without_data_is_none() -> None:
    assert EventReader().feed(b"event: ping\n\n\n\n: comment\n\n") == []


def test_an_event_without_its_blank_line_has_not_come_yet() -> None:
    reader = EventReader()
    assert reader.feed(b"data: 1\n") == []
    assert reader.feed(b"\n") == [b"1"]


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 1000, b"data: x\n", b"data:\n", b"x" * 1000, b": comment " + b"x" * 1000]
)
def test_an_endless_event_costs_no_memory(piece: bytes) -> None:
    reader = EventReader(most_bytes=10_000)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            assert reader.feed(piece) == []
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert reader.feed(b"\n\ndata: next\n\n") == [b"next"]
    assert reader.lost == 1


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_a_lost_event_ends_at_its_blank_line(newline: bytes) -> None:
    stream = newline.join([b"data: " + b"x" * 200, b"data: y", b"", b"data: next", b"", b""])
    whole = EventReader(most_bytes=100)
    assert whole.feed(stream) == [b"next"]
    bytewise = EventReader(most_bytes=100)
    assert [event for n in range(len(stream)) for event in bytewise.feed(stream[n : n + 1])] == [b"next"]
    assert whole.lost == bytewise.lost == 1
