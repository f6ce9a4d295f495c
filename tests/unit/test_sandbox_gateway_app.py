"""The gateway end to end: a real client on its socket, a real provider behind it. Every exchange is handed to the
desk once, as what it was."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation_sandbox.gateway import app, passing
from curation_sandbox.gateway.desk import ModelPins
from curation_sandbox.gateway.exchange import Usage
from curation_sandbox.gateway.wires import Wire
from gateway_bench import (
    CHAT_BODY,
    KEY,
    MESSAGES_BODY,
    RESPONSES_BODY,
    Act,
    Asked,
    GatewayBench,
    Line,
    answer,
    event,
    gateway_bench,
    messages_events,
    read_past,
    until,
    whole_reply,
)

STREAM = {**MESSAGES_BODY, "stream": True}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[GatewayBench]:
    with gateway_bench(tmp_path) as running:
        yield running
        assert running.still_serves()
        assert running.errors == []


WIRES = [
    ("/v1/messages", MESSAGES_BODY, Wire.MESSAGES, "generate"),
    ("/v1/messages?beta=true", MESSAGES_BODY, Wire.MESSAGES, "generate"),
    (
        "/v1/messages/count_tokens",
        {k: v for k, v in MESSAGES_BODY.items() if k != "max_tokens"},
        Wire.MESSAGES,
        "count",
    ),
    ("/v1/responses", RESPONSES_BODY, Wire.RESPONSES, "generate"),
    ("/v1/chat/completions", CHAT_BODY, Wire.CHAT, "generate"),
]


@pytest.mark.parametrize(("path", "body", "wire", "kind"), WIRES)
def test_each_endpoint_passes_a_whole_reply(
    served: GatewayBench, path: str, body: dict[str, Any], wire: Wire, kind: str
) -> None:
    reply = served.post(path, body)
    assert (reply.status_code, reply.content) == (200, whole_reply())
    exchange = served.one()
    assert (exchange.outcome, exchange.wire, exchange.kind, exchange.path) == ("ok", wire, kind, path)
    assert exchange.response == whole_reply()
    assert served.provider.asked[0].target == path
    assert json.loads(served.provider.asked[0].body)["model"] == "big"


def test_credentials_and_foreign_headers_stay_behind_and_the_key_is_put_in(served: GatewayBench) -> None:
    foreign = {
        "x-api-key": "mine",
        "authorization": "Bearer mine",
        "cookie": "a=b",
        "host": "elsewhere.example",
        "x-forwarded-for": "10.0.0.1",
        "x-forwarded-host": "elsewhere.example",
        "x-stainless-os": "Linux",
        "x-claude-code-session-id": "s1",
        "session-id": "s1",
        "proxy-authorization": "Basic mine",
        "x-codex-turn-metadata": "{}",
        "anthropic-beta": "interleaved-thinking-2025-05-14,web-search-2025-03-05,files-api-2025-04-14",
        "anthropic-version": "2023-06-01",
        "user-agent": "spy/1",
        "te": "trailers",
    }
    assert served.post(headers=foreign).status_code == 200
    got = dict(served.provider.asked[0].headers)
    assert got.pop("user-agent").startswith("curation-harness/")
    assert got.pop("host") == served.provider.url.removeprefix("http://")
    assert int(got.pop("content-length")) > 0
    assert got == {
        "x-api-key": KEY,
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "connection": "keep-alive",
    }
    exchange = served.one()
    assert "x-api-key" not in exchange.request_headers
    assert any("web-search" in change for change in exchange.changes)


def test_a_bearer_login(tmp_path: Path) -> None:
    with gateway_bench(tmp_path, auth="bearer") as bench:
        bench.post("/v1/chat/completions", CHAT_BODY, headers={"authorization": "Bearer mine"})
        assert bench.provider.asked[0].header("authorization") == f"Bearer {KEY}"
        assert bench.provider.asked[0].header("x-api-key") is None


def test_codex_header_only_by_its_value(served: GatewayBench) -> None:
    name = "x-openai-internal-codex-responses-lite"
    served.post("/v1/responses", RESPONSES_BODY, headers={name: "true"})
    served.post("/v1/responses", RESPONSES_BODY, headers={name: "true, x"})
    served.post("/v1/chat/completions", CHAT_BODY, headers={name: "true"})
    assert [asked.header(name) for asked in served.provider.asked] == ["true", None, None]


@pytest.mark.parametrize(
    ("asked", "sent"), [("big", "big"), ("small", "small"), ("claude-haiku-4-5", "small"), ("gpt-9-mini", "small")]
)
def test_pinned_models_and_aliases(served: GatewayBench, asked: str, sent: str) -> None:
    assert served.post(body={**MESSAGES_BODY, "model": asked}).status_code == 200
    assert json.loads(served.provider.asked[0].body)["model"] == sent
    assert (served.one().model_asked, served.one().model) == (asked, sent)


@pytest.mark.parametrize(
    "model", ["BIG", "big ", "bigger", "", None, 7, ["big"], {"big": 1}, "../big", "big\n", "\ud800"]
)
def test_any_other_model_is_refused_before_the_provider(served: GatewayBench, model: object) -> None:
    reply = served.post(body={**MESSAGES_BODY, "model": model})
    assert reply.status_code == 400
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert served.provider.asked == []
    assert served.one().outcome == "refused"
    repr(served.one()).encode()


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages/",
        "//v1/messages",
        "/v1//messages",
        "/V1/messages",
        "/v1/%6dessages",
        "/v1/messages%2e",
        "/v1/x/../messages",
        "/v1/messages/batches",
        "/v1/messages;x",
        "/v1/messages%3fbeta=true",
        "/v1/files",
        "/v1/responses/resp_1",
        "/v1/responses/compact",
        "/api/hello",
        "/",
        "http://elsewhere.example/v1/messages",
        "https://api.anthropic.com/v1/messages",
        "*",
    ],
)
def test_another_path_is_refused(served: GatewayBench, target: str) -> None:
    body = json.dumps(MESSAGES_BODY).encode()
    head = f"POST {target} HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    got = served.talk(head.encode() + body)
    assert got.split(b" ", 2)[1] in (b"404", b"400"), got
    assert served.provider.asked == []
    assert [each.outcome for each in served.desk.exchanges] in (["refused"], [])


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "post", "CONNECT", "TRACE", "X"]
)
def test_another_method_is_refused(served: GatewayBench, method: str) -> None:
    got = served.talk(f"{method} /v1/messages HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n".encode())
    assert got.split(b" ", 2)[1] in (b"404", b"400"), got
    assert served.provider.asked == []


def test_queries_do_not_pass_but_the_beta_one(served: GatewayBench) -> None:
    for query in ("beta=true&key=1", "beta=false", "x=%0d%0aX:%20y", "beta=true%00"):
        assert served.post(f"/v1/messages?{query}").status_code == 200
    assert served.post("/v1/responses?beta=true", RESPONSES_BODY).status_code == 200
    assert {asked.target for asked in served.provider.asked} == {"/v1/messages", "/v1/responses"}


def test_hello_and_models_are_answered_here(served: GatewayBench) -> None:
    with served.client() as client:
        hello = client.head("/api/hello")
        listed = client.get("/v1/models?limit=1000")
    assert (hello.status_code, hello.content) == (200, b"")
    assert [model["id"] for model in listed.json()["data"]] == ["big", "small"]
    assert served.provider.asked == []


def test_a_spent_budget_is_told_and_not_tried_again(served: GatewayBench) -> None:
    served.desk.denial = "all 3 requests are spent"
    for path, body, wire, _ in WIRES:
        reply = served.post(path, body)
        assert (reply.status_code, reply.headers["x-should-retry"]) == (400, "false")
        assert reply.json()["error"]["message"] == "all 3 requests are spent"
        assert ("type" in reply.json()) == (wire is Wire.MESSAGES)
    assert served.provider.asked == []
    assert [each.outcome for each in served.desk.exchanges] == ["budget"] * len(WIRES)


# -- streaming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body", "wire", "kind"), [WIRES[0], WIRES[3], WIRES[4]])
def test_no_event_waits_for_the_next(tmp_path: Path, path: str, body: dict[str, Any], wire: Wire, kind: str) -> None:
    """The provider sends an event only when the client has the one before it."""
    seen = threading.Semaphore(0)
    ends = {
        Wire.MESSAGES: event("message_stop"),
        Wire.RESPONSES: event("response.completed", response={"usage": {"input_tokens": 7, "output_tokens": 5}}),
        Wire.CHAT: b'data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    }
    pieces = [event("x", number=number) for number in range(5)]

    def act(line: Line, asked: Asked) -> None:
        line.head()
        for piece in pieces:
            line.piece(piece)
            assert seen.acquire(timeout=10)
        line.piece(ends[wire])
        line.end()

    with gateway_bench(tmp_path, act) as bench, bench.client() as client:
        with client.stream("POST", path, json={**body, "stream": True}) as reply:
            assert reply.headers["content-type"] == "text/event-stream"
            got = b""
            for piece in reply.iter_raw():
                got += piece
                seen.release()
        assert got == b"".join(pieces) + ends[wire]
        assert bench.one().outcome == "ok"
        assert [chunk.data for chunk in bench.one().chunks][:5] == pieces


def test_the_last_bytes_come_only_after_the_record(served: GatewayBench) -> None:
    served.desk.hold = threading.Event()
    got: list[bytes] = []

    def read() -> None:
        with served.client() as client, client.stream("POST", "/v1/messages", json=STREAM) as reply:
            for piece in reply.iter_raw():
                got.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    assert until(lambda: b"message_delta" in b"".join(got))
    time.sleep(0.1)
    assert b"message_stop" not in b"".join(got)
    served.desk.hold.set()
    reader.join(10)
    assert b"".join(got) == b"".join(messages_events())
    assert served.one().outcome == "ok"
    usage = served.one().usage
    assert usage is not None
    assert (usage.input, usage.output) == (7, 5)


@pytest.mark.parametrize("stream", [True, False])
def test_if_the_record_fails_no_whole_reply_comes(served: GatewayBench, stream: bool) -> None:
    served.desk.failure = "the disk is full"
    if stream:
        with pytest.raises(httpx.RemoteProtocolError):
            served.post(body=STREAM)
    else:
        assert served.post().status_code == 500
    assert len(served.desk.exchanges) == 1
    assert "the disk is full" in served.errors.pop()


def _endless(line: Line, asked: Asked) -> None:
    line.head()
    for piece in messages_events():
        line.piece(piece)
    while True:
        line.piece(event("ping"))
        time.sleep(0.01)


def test_a_stream_that_goes_on_after_its_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "TAIL_SECONDS", 0.3)
    with gateway_bench(tmp_path, _endless) as bench:
        reply = bench.post(body=STREAM)
        assert reply.content.startswith(b"".join(messages_events()))
        assert bench.one().outcome == "ok"


def _cut_off(line: Line, asked: Asked) -> None:
    line.head()
    line.piece(messages_events()[0])
    line.raw(b"ff\r\nhalf")
    line.reset()


def _ends_early(line: Line, asked: Asked) -> None:
    line.events(messages_events()[:3])


def _too_long(line: Line, asked: Asked) -> None:
    line.head()
    while True:
        line.piece(event("content_block_delta", text="x" * 100_000))


@pytest.mark.parametrize("act", [_cut_off, _too_long])
def test_a_stream_that_breaks_is_passed_on_as_broken(
    tmp_path: Path, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "MAX_REPLY", 2**20)
    with gateway_bench(tmp_path, act) as bench:
        with pytest.raises(httpx.RemoteProtocolError):
            bench.post(body=STREAM)
        assert bench.one().outcome == "cut"
        assert len(bench.one().response) <= 2**20
        assert bench.errors == []


def test_a_stream_without_its_last_event_is_a_cut_one(tmp_path: Path) -> None:
    with gateway_bench(tmp_path, _ends_early) as bench:
        assert bench.post(body=STREAM).content == b"".join(messages_events()[:3])
        assert bench.one().outcome == "cut"


def test_a_whole_reply_that_breaks_off_is_no_reply(tmp_path: Path) -> None:
    def act(line: Line, asked: Asked) -> None:
        line.raw(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        line.reset()

    with gateway_bench(tmp_path, act) as bench:
        reply = bench.post()
        assert reply.status_code == 502
        assert bench.one().outcome == "cut"


# -- the client goes ---------------------------------------------------------------------------------


def _raw_post(body: Any, path: str = "/v1/messages") -> bytes:
    data = json.dumps(body).encode()
    return f"POST {path} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


@pytest.mark.parametrize(("moment", "output"), [("waiting", 0), ("streaming", 1)])
def test_a_client_that_hangs_up_ends_the_request_at_the_provider_after_a_while(
    tmp_path: Path, moment: str, output: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "DRAIN_SECONDS", 0.2)
    ended = threading.Event()

    def act(line: Line, asked: Asked) -> None:
        if moment == "streaming":
            line.head()
            line.piece(messages_events()[0])
        if line.hung_up():
            ended.set()

    with gateway_bench(tmp_path, act) as bench:
        connection = bench.connect()
        connection.sendall(_raw_post(STREAM))
        if moment == "streaming":
            read_past(connection, b"message_start")
        else:
            assert until(lambda: len(bench.provider.asked) == 1)
        connection.close()
        assert ended.wait(5)
        assert bench.one().outcome == "client-gone"
        sent, usage = bench.one().sent, bench.one().usage
        assert sent is not None
        assert usage is not None
        assert (usage.estimated, usage.output) == (True, output)
        assert usage.input == (7 if moment == "streaming" else len(sent) // 4)
        assert until(lambda: bench.server.activity().in_flight == 0)
        assert bench.errors == []


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_up_before_the_end_makes_no_tokens_free(tmp_path: Path, stream: bool) -> None:
    """The provider's figures come last; they are waited for, though nobody listens any more."""
    left = threading.Event()

    def act(line: Line, asked: Asked) -> None:
        if stream:
            line.head()
            line.piece(messages_events()[0])
        left.wait(10)
        for piece in messages_events()[1:] if stream else ():
            line.piece(piece)
        line.end() if stream else line.whole(whole_reply())

    with gateway_bench(tmp_path, act) as bench:
        connection = bench.connect()
        connection.sendall(_raw_post(STREAM if stream else MESSAGES_BODY))
        assert until(lambda: len(bench.provider.asked) == 1)
        if stream:
            read_past(connection, b"message_start")
        connection.close()
        time.sleep(0.1)
        left.set()
        exchange = bench.one()
        assert exchange.outcome == "client-gone"
        assert exchange.usage == Usage(input=7, output=5)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (
            "/v1/responses",
            RESPONSES_BODY,
            {"type": "response.failed", "response": {"error": {"code": "server_error"}}},
        ),
        ("/v1/responses", RESPONSES_BODY, {"type": "error", "code": "rate_limit_exceeded"}),
        ("/v1/chat/completions", CHAT_BODY, {"error": {"message": "no room", "type": "server_error"}}),
        ("/v1/chat/completions", CHAT_BODY, {"error": {"message": "no room"}}),
        ("/v1/messages", MESSAGES_BODY, {"type": "error", "error": {"type": "overloaded_error"}}),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_providers_failure_within_its_reply_is_not_the_agents(
    tmp_path: Path, path: str, body: dict[str, Any], told: dict[str, Any], stream: bool
) -> None:
    def act(line: Line, asked: Asked) -> None:
        if stream:
            line.events([b"data: " + json.dumps(told).encode() + b"\n\n", b"data: [DONE]\n\n"])
        else:
            line.whole(json.dumps(told).encode())

    with gateway_bench(tmp_path, act) as bench:
        assert bench.post(path, {**body, "stream": stream}).status_code == 200
        exchange = bench.one()
        assert exchange.outcome == "cut"
        assert exchange.reason.startswith(("the provider failed within its reply", "the stream ended before"))


@pytest.mark.parametrize("code", ["context_length_exceeded", "invalid_prompt"])
def test_a_requests_own_fault_within_the_reply_stays_the_requests(tmp_path: Path, code: str) -> None:
    told = {"type": "response.failed", "response": {"id": "r", "error": {"code": code, "message": "too long"}}}

    def act(line: Line, asked: Asked) -> None:
        line.events([b"data: " + json.dumps(told).encode() + b"\n\n"])

    with gateway_bench(tmp_path, act) as bench:
        bench.post("/v1/responses", {**RESPONSES_BODY, "stream": True})
        assert bench.one().outcome == "ok"


def test_what_others_spend_meanwhile_counts_for_a_request_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "AT_ONCE", 1)
    go = threading.Event()

    def act(line: Line, asked: Asked) -> None:
        go.wait(10)
        line.whole(whole_reply())

    with gateway_bench(tmp_path, act) as bench:
        threads = [threading.Thread(target=bench.post) for _ in range(5)]
        for thread in threads:
            thread.start()
        assert until(lambda: len(bench.desk.admitted) == 1 and bench.server.activity().in_flight == 5)
        bench.desk.denial = "all is spent"  # by the one that is under way
        go.set()
        for thread in threads:
            thread.join(20)
        assert sorted(each.outcome for each in bench.desk.exchanges) == ["budget"] * 4 + ["ok"]
        assert len(bench.provider.asked) == 1


def test_a_client_that_is_gone_before_its_turn_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "AT_ONCE", 1)
    go = threading.Event()

    def act(line: Line, asked: Asked) -> None:
        go.wait(10)
        line.whole(whole_reply())

    with gateway_bench(tmp_path, act) as bench:
        first = threading.Thread(target=bench.post)
        first.start()
        assert until(lambda: len(bench.provider.asked) == 1)
        connection = bench.connect()
        connection.sendall(_raw_post(STREAM))
        assert until(lambda: bench.server.activity().in_flight == 2)
        connection.close()
        assert until(lambda: len(bench.desk.exchanges) == 1)
        go.set()
        first.join(20)
        gone = bench.desk.exchanges[0]
        assert (gone.outcome, gone.sent, gone.usage) == ("client-gone", None, None)
        assert len(bench.desk.admitted) == 1


def test_a_full_room_for_bodies_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "ROOM", 10)
    with gateway_bench(tmp_path) as bench:
        reply = bench.post()
        assert reply.status_code == 503
        assert "x-should-retry" not in reply.headers
        assert bench.one().outcome == "refused"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/messages", MESSAGES_BODY, 200),
        ("/v1/responses", RESPONSES_BODY, 404),
        ("/v1/chat/completions", CHAT_BODY, 404),
    ],
)
def test_another_api_than_the_programs_own_is_shut(
    tmp_path: Path, path: str, body: dict[str, Any], status: int
) -> None:
    pins = ModelPins(models=("big",), wires=(Wire.MESSAGES,))
    with gateway_bench(tmp_path, pins=pins) as bench:
        assert bench.post(path, body).status_code == status
        assert len(bench.provider.asked) == (status == 200)


def test_a_body_that_never_comes_whole_is_a_client_gone(served: GatewayBench) -> None:
    connection = served.connect()
    connection.sendall(_raw_post(STREAM)[:-5])
    time.sleep(0.1)
    connection.close()
    assert served.one().outcome == "client-gone"
    assert served.one().sent is None
    assert served.desk.admitted == []


def test_a_server_stopped_in_mid_stream_records_it(tmp_path: Path) -> None:
    def act(line: Line, asked: Asked) -> None:
        line.head()
        line.piece(messages_events()[0])
        line.hung_up(20)

    with gateway_bench(tmp_path, act) as bench:
        connection = bench.connect()
        connection.sendall(_raw_post(STREAM))
        read_past(connection, b"message_start")
    assert [each.outcome for each in bench.desk.exchanges] == ["client-gone"]
    assert bench.errors == []
    assert not bench.server.alive()
    connection.close()


def test_many_at_once_all_come_back_once(tmp_path: Path) -> None:
    with gateway_bench(tmp_path, answer, pins=ModelPins(models=("big",))) as bench:
        threads = [
            threading.Thread(target=bench.post, args=("/v1/messages", STREAM if number % 2 else MESSAGES_BODY))
            for number in range(60)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(each.id for each in bench.desk.exchanges) == list(range(1, 61))
        assert {each.outcome for each in bench.desk.exchanges} == {"ok"}
