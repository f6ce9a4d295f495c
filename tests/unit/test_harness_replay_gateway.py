"""What the agent's program gets in a replay, through the gateway itself: what it got then, failures too."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from curation_harness.agent.model_desk import ModelDesk
from curation_harness.prices import PriceTable
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.store import RunRecord
from curation_harness.replay.source import RecordedSource
from curation_sandbox.gateway.desk import ModelPins, ProviderFailed, Reply, ReplyCut, ReplySource
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.server import GatewayServer
from made_records import made_spec

STREAM = {"content-type": "text/event-stream"}
WHOLE = {"content-type": "application/json"}
START = b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":7}}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Provider:
    """Answers each request as the last word of it says."""

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[Reply]:
        how = json.loads(ask.body)["messages"][-1]["content"].split()[-1]
        if how == "down":
            raise ProviderFailed("the model provider failed 6 times, at last: HTTP 503", status=503, tries=6)
        if how == "limited":
            yield Reply(413, WHOLE, self._pieces(b'{"type": "error"}'))
        elif how.startswith("stream"):
            yield Reply(200, STREAM, self._pieces(START, *() if how == "stream-cut" else (STOP,), cut=how[7:]))
        else:
            yield Reply(200, WHOLE, self._pieces(b'{"usage": ', b'{"input_tokens": 1}}', cut=how[6:]))

    async def close(self) -> None:
        return None

    async def _pieces(self, *pieces: bytes, cut: str = "") -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if cut == "cut":
            raise ReplyCut("ReadError")


class Seen(NamedTuple):
    """What the program saw of a reply."""

    status: int
    body: bytes
    whole: bool


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="replay-") as made:  # short, for the socket's path
        yield Path(made)


def talk(record: RunRecord, source: ReplySource, requests: list[dict[str, Any]]) -> list[Seen]:
    """One conversation after the other with a gateway of the run's own."""
    errors: list[str] = []
    sockets = Path(tempfile.mkdtemp(prefix="s-", dir=record.folder.parent))
    desk = ModelDesk(record, PriceTable("anthropic", ()))
    pins = ModelPins(models=("claude-sonnet-4-5",))
    with GatewayServer(sockets, source, pins, desk, on_error=errors.append) as server:
        transport = httpx.HTTPTransport(uds=str(server.socket_path))
        with httpx.Client(transport=transport, base_url="http://gateway", timeout=30) as client:
            seen = [ask(client, request) for request in requests]
    assert errors == []
    return seen


def ask(client: httpx.Client, request: dict[str, Any]) -> Seen:
    got: list[bytes] = []
    with client.stream("POST", "/v1/messages", json=request) as reply:
        try:
            got.extend(reply.iter_bytes())
        except httpx.RemoteProtocolError:
            return Seen(reply.status_code, b"".join(got), whole=False)
    return Seen(reply.status_code, b"".join(got), whole=True)


def request(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": text}
    return {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [message], **more}


def test_the_program_gets_what_it_got_then_failures_too(folder):
    hows = ("stream", "whole", "down", "limited", "stream-cut", "whole-cut")
    requests = [request(how, stream=how.startswith("stream")) for how in hows]
    requests.append(request("whole", model="another"))  # which the gateway refuses by itself
    then = RunRecord.create(folder, made_spec("then"), None)
    before = talk(then, Provider(), requests)
    assert [seen.whole for seen in before] == [True, True, True, True, False, True, True]

    source = RecordedSource(ExchangeLog(then.folder))
    now = RunRecord.create(folder, made_spec("now"), None)
    assert talk(now, source, requests) == before
    assert [one.kind for one in source.requests] == ["identical"] * len(hows)
    assert source.left() == ()
    entries = [ExchangeLog(record.folder).entries() for record in (then, now)]
    for one, other in zip(*entries, strict=True):
        same = ["id", "outcome", "status", "reason", "response", "sent", "tries"]
        if one.status != 502:  # of a reply that broke off unseen, the record has our error instead of its beginning
            same.append("usage")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]


def test_a_request_too_many_is_an_error_that_no_program_retries(folder):
    then = RunRecord.create(folder, made_spec("then"), None)
    talk(then, Provider(), [request("whole")])
    now = RunRecord.create(folder, made_spec("now"), None)
    source = RecordedSource(ExchangeLog(then.folder))
    again, extra = talk(now, source, [request("whole"), request("whole")])
    assert (again.status, extra.status) == (200, 400)
    assert b"went another way" in extra.body


def test_a_replay_can_be_replayed(folder):
    requests = [request(how) for how in ("whole", "down", "whole-cut")]
    records = [RunRecord.create(folder, made_spec(name), None) for name in ("a", "b", "c")]
    seen = [talk(records[0], Provider(), requests)]
    for last, record in pairwise(records):
        seen.append(talk(record, RecordedSource(ExchangeLog(last.folder)), requests))
    assert seen[0] == seen[1] == seen[2]
