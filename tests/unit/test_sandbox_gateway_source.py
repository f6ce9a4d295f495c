"""The provider's failures: what is tried again, for how long, and that the key stays where it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from curation_sandbox.gateway.desk import ProviderFailed, ReplyCut, Upstream
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.http_source import OURS, TRANSIENT, HttpSource, Redactor, Retry
from curation_sandbox.gateway.wires import Wire
from gateway_bench import KEY, QUICK, Asked, Line, Provider, gateway_bench, messages_events, whole_reply

ASK = Ask(
    1, "POST", "/v1/messages", "generate", Wire.MESSAGES, "big", "big", {"accept": "x"}, b'{"model":"big"}', False
)

Act = Callable[[Line, Asked], None]


class Script:
    """Fails in given ways, one a request, then answers."""

    def __init__(self, *failures: Act) -> None:
        self.failures = list(failures)

    def __call__(self, line: Line, asked: Asked) -> None:
        if self.failures:
            self.failures.pop(0)(line, asked)
        else:
            line.whole(whole_reply())


def status(number: int, **headers: str) -> Act:
    return lambda line, asked: line.whole(b"{}", number, **headers)


def reset(line: Line, asked: Asked) -> None:
    line.reset()


def reset_after_head(line: Line, asked: Asked) -> None:
    line.head()
    line.reset()


def garbage(line: Line, asked: Asked) -> None:
    line.raw(b"\x00\x01 no http\r\n\r\n")
    line.reset()


@asynccontextmanager
async def source(url: str, retry: Retry = QUICK, read_seconds: float = 5.0) -> AsyncIterator[HttpSource]:
    upstream = Upstream(provider="test", base_url=url, auth="x-api-key", key=SecretStr(KEY))
    made = HttpSource(upstream, retry, read_seconds=read_seconds)
    try:
        yield made
    finally:
        await made.close()


def asked_of(act: Act, retry: Retry = QUICK, read_seconds: float = 5.0) -> tuple[int, bytes, int]:
    """(status, body, tries) of one ask."""

    async def ask(url: str) -> tuple[int, bytes, int]:
        async with source(url, retry, read_seconds) as made, made.open(ASK) as reply:
            return reply.status, b"".join([piece async for piece in reply.body]), reply.tries

    with Provider(act) as provider:
        return asyncio.run(ask(provider.url))


@pytest.mark.parametrize("number", sorted(TRANSIENT))
def test_transient_statuses_are_tried_again(number: int) -> None:
    assert asked_of(Script(status(number), status(number))) == (200, whole_reply(), 3)


@pytest.mark.parametrize("failure", [reset, reset_after_head, garbage])
def test_broken_connections_are_tried_again_before_the_first_byte(failure: Act) -> None:
    assert asked_of(Script(failure)) == (200, whole_reply(), 2)


@pytest.mark.parametrize("number", [400, 404, 413, 422])
def test_the_requests_own_faults_pass(number: int) -> None:
    assert asked_of(Script(status(number))) == (number, b"{}", 1)


@pytest.mark.parametrize("number", sorted(OURS))
def test_a_refused_key_is_ours_and_not_tried_again(number: int) -> None:
    script = Script(status(number), status(number))
    with pytest.raises(ProviderFailed, match="key") as failed:
        asked_of(script)
    assert (failed.value.status, failed.value.tries) == (number, 1)
    assert KEY not in repr(failed.value)


def test_redirects_are_not_followed_with_the_key() -> None:
    script = Script(status(307, location="http://evil.example/"), status(200))
    with pytest.raises(ProviderFailed, match="elsewhere"):
        asked_of(script)
    assert len(script.failures) == 1


def test_tries_have_an_end() -> None:
    with pytest.raises(ProviderFailed, match=r"3 times.*HTTP 529") as failed:
        asked_of(Script(*[status(529)] * 9))
    assert (failed.value.status, failed.value.tries) == (529, 3)


def test_tries_have_a_last_moment() -> None:
    slow = Retry(tries=100, first_seconds=0.5, longest_seconds=0.5, total_seconds=2.0)
    with pytest.raises(ProviderFailed) as failed:
        asked_of(Script(*[status(503)] * 100), slow)
    assert 2 <= failed.value.tries <= 6


def test_nobody_listens() -> None:
    async def ask() -> None:
        async with source("http://127.0.0.1:9") as made, made.open(ASK):
            raise AssertionError("there is no provider")

    with pytest.raises(ProviderFailed, match="ConnectError") as failed:
        asyncio.run(ask())
    assert (failed.value.status, failed.value.tries) == (0, QUICK.tries)


@pytest.mark.parametrize(
    ("asks", "waits"), [("0.3", True), ("0", False), ("nan", False), ("-5", False), ("Wed", False)]
)
def test_retry_after_is_kept(asks: str, waits: bool) -> None:
    retry = Retry(tries=2, first_seconds=0.01, longest_seconds=0.3)
    began = time.monotonic()
    assert asked_of(Script(status(429, retry_after=asks)), retry)[2] == 2
    assert (time.monotonic() - began > 0.3) or not waits


@pytest.mark.parametrize("asks", ["1e9", "inf", "9" * 400])
def test_a_retry_after_of_years_is_capped(asks: str) -> None:
    retry = Retry(tries=2, first_seconds=0.01, longest_seconds=0.05)
    assert asked_of(Script(status(429, retry_after=asks)), retry)[2] == 2


def test_a_cut_after_the_first_byte_is_not_tried_again() -> None:
    def act(line: Line, asked: Asked) -> None:
        line.head()
        line.piece(messages_events()[0])
        time.sleep(0.05)
        line.reset()

    with pytest.raises(ReplyCut, match="Error"):
        asked_of(act)


def test_a_provider_that_falls_silent_is_cut() -> None:
    def act(line: Line, asked: Asked) -> None:
        line.head()
        line.piece(messages_events()[0])
        line.hung_up(5)

    with pytest.raises(ReplyCut, match="ReadTimeout"):
        asked_of(act, read_seconds=0.2)


def test_the_key_in_a_reply_is_blotted_out(tmp_path: Path) -> None:
    echo = whole_reply(error=f"bad key {KEY}!")

    def act(line: Line, asked: Asked) -> None:
        assert asked.header("x-api-key") == KEY
        line.head(400, "application/json", request_id=f"a-{KEY}")
        for at in range(len(echo)):
            line.piece(echo[at : at + 1])
        line.end()

    with gateway_bench(tmp_path, act) as at:
        answer = at.post()
        assert KEY not in answer.text + repr(answer.headers)
        assert "bad key ****" in answer.text
        assert KEY.encode() not in at.one().response


@pytest.mark.parametrize("size", [1, 2, 7, 23, 24, 25, 1000])
def test_the_redactor_changes_nothing_else(size: int) -> None:
    text = (f"sk-sk-test-{KEY[:-1]}x{KEY}{KEY} data: sk-tes\n\n".encode()) * 3
    redactor = Redactor(KEY)
    out = b"".join(redactor.feed(text[at : at + size]) for at in range(0, len(text), size)) + redactor.rest()
    assert out == text.replace(KEY.encode(), b"*" * len(KEY))


def test_the_redactor_holds_no_event_back() -> None:
    redactor = Redactor(KEY)
    for event in messages_events():
        assert redactor.feed(event) == event


@pytest.mark.parametrize("key", ["test", "EMPTY", "none", "sk-local"])
def test_a_local_servers_dummy_key_is_left_in_ordinary_text(key: str) -> None:
    said = f"pytest -q tests/; EMPTY, none of it; {key}".encode()

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=said)

    upstream = Upstream(provider="local", base_url="http://local.invalid", auth="bearer", key=SecretStr(key))
    source = HttpSource(upstream, transport=httpx.MockTransport(answer))

    async def reply() -> bytes:
        async with source.open(ASK) as got:
            return b"".join([piece async for piece in got.body])

    assert asyncio.run(reply()) == said


def test_no_key_needs_no_redactor() -> None:
    assert Redactor("").feed(b"abc") == b"abc"


@pytest.mark.parametrize("auth", ["bearer", "x-api-key", "none"])
def test_the_login_is_put_in(tmp_path: Path, auth: str) -> None:
    with gateway_bench(tmp_path, auth=auth) as at:
        at.post(headers={"authorization": "Bearer mine", "x-api-key": "mine"})
        asked = at.provider.asked[0]
    assert asked.header("authorization") == (f"Bearer {KEY}" if auth == "bearer" else None)
    assert asked.header("x-api-key") == (KEY if auth == "x-api-key" else None)
    assert asked.header("accept-encoding") == "identity"


def test_while_a_provider_fails_the_run_is_told_and_no_longer() -> None:
    """An outage is no time of the agent's: from the first failure to the first byte."""
    happened: list[str] = []

    @contextmanager
    def failing() -> Iterator[None]:
        happened.append("failing")
        yield
        happened.append("well")

    def answered(line: Line, asked: Asked) -> None:
        happened.append("asked")
        line.whole(whole_reply() if len(happened) > 3 else b"{}", 200 if len(happened) > 3 else 503)

    async def ask(url: str) -> None:
        async with source(url) as provider:
            provider.while_failing = failing
            async with provider.open(ASK):
                happened.append("reply")

    with Provider(answered) as provider:
        asyncio.run(ask(provider.url))
    assert happened == ["asked", "failing", "asked", "asked", "well", "reply"]
