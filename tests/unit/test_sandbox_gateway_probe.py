"""Asking a provider before anything is started."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from pydantic import SecretStr

from curation_sandbox.errors import KeyRefused, ProviderUnreachable
from curation_sandbox.gateway.desk import Upstream
from curation_sandbox.gateway.probe import probe, subscription_token
from curation_sandbox.gateway.wires import Wire

KEY = "sk-probe-0123456789abcdef"


def upstream(auth: str = "bearer") -> Upstream:
    key = None if auth == "none" else SecretStr(KEY)
    return Upstream(provider="acme", base_url="http://acme.invalid/api", auth=auth, key=key)  # type: ignore[arg-type]


class Provider:
    """Answers by path and keeps what it was asked."""

    def __init__(self, answers: dict[str, httpx.Response | Exception]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.get(request.url.path, httpx.Response(404))
        if isinstance(answer, Exception):
            raise answer
        return answer


def listing(tree: object) -> Provider:
    return Provider({"/api/v1/models": httpx.Response(200, json=tree)})


@pytest.mark.parametrize(
    ("tree", "models"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, ("a", "b")),
        ([{"id": "a"}], ("a",)),
        ({"data": []}, None),
        ({"data": [{"name": "a"}, {"id": 3}, "b"]}, None),
        ({"data": "a"}, None),
        ("a", None),
    ],
)
def test_names_of_models(tree: object, models: tuple[str, ...] | None) -> None:
    assert probe(upstream(), transport=listing(tree).transport).models == models


@pytest.mark.parametrize(
    ("auth", "header"),
    [("bearer", ("authorization", f"Bearer {KEY}")), ("x-api-key", ("x-api-key", KEY)), ("none", None)],
)
def test_the_key_goes_where_the_provider_wants_it(auth: str, header: tuple[str, str] | None) -> None:
    provider = listing({"data": [{"id": "a"}]})
    probe(upstream(auth), transport=provider.transport)
    logins = {
        name: provider.asked[0].headers[name]
        for name in ("authorization", "x-api-key")
        if name in provider.asked[0].headers
    }
    assert logins == ({header[0]: header[1]} if header else {})


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused(status: int) -> None:
    provider = Provider({"/api/v1/models": httpx.Response(status, text=f"bad key {KEY}")})
    with pytest.raises(KeyRefused) as caught:
        probe(upstream(), transport=provider.transport)
    assert f"acme (http://acme.invalid/api) refuses the key (HTTP {status})" in str(caught.value)
    assert KEY not in str(caught.value) + repr(caught.value) + caught.value.hint


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_no_answer(kind: Callable[[str], httpx.HTTPError]) -> None:
    provider = Provider({"/api/v1/models": kind(f"with {KEY} in it")})
    with pytest.raises(ProviderUnreachable) as caught:
        probe(upstream(), transport=provider.transport)
    assert "acme cannot be reached at http://acme.invalid/api: " in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [302, 429, 500])
def test_another_status_is_no_provider_that_answers(status: int) -> None:
    provider = Provider({"/api/v1/models": httpx.Response(status, headers={"location": "http://evil.invalid"})})
    with pytest.raises(ProviderUnreachable, match=f"HTTP {status}"):
        probe(upstream(), transport=provider.transport)
    assert len(provider.asked) == 1  # a redirect is not followed: it would take the key along


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        (Wire.MESSAGES, "/api/v1/messages"),
        (Wire.RESPONSES, "/api/v1/responses"),
        (Wire.CHAT, "/api/v1/chat/completions"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
def test_a_provider_without_a_list_is_asked_with_an_empty_request(wire: Wire, path: str, status: int) -> None:
    provider = Provider({path: httpx.Response(status)})
    assert probe(upstream(), wire, provider.transport).models is None
    assert [(asked.method, asked.url.path) for asked in provider.asked] == [("GET", "/api/v1/models"), ("POST", path)]
    assert provider.asked[1].content == b"{}"


def test_a_server_that_wants_a_key_where_none_is_given() -> None:
    provider = Provider({"/api/v1/models": httpx.Response(401)})
    with pytest.raises(KeyRefused, match="wants a key, and none is given"):
        probe(upstream("none"), transport=provider.transport)


def test_a_key_refused_at_the_wires_own_address() -> None:
    provider = Provider({"/api/v1/chat/completions": httpx.Response(401)})
    with pytest.raises(KeyRefused):
        probe(upstream(), Wire.CHAT, provider.transport)


def test_an_address_without_any_model_provider() -> None:
    with pytest.raises(ProviderUnreachable, match=r"HTTP 404 at http://acme\.invalid/api/v1/chat/completions"):
        probe(upstream(), Wire.CHAT, Provider({}).transport)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sk-ant-oat01-abc", "Claude subscription"),
        ("sk-ant-ort01-abc", "Claude subscription"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "OAuth token"),
        ("sk-ant-api03-abc", None),
        ("sk-proj-abc", None),
        ("eyJ-no-token", None),
    ],
)
def test_logins_of_subscriptions_are_told_from_keys(key: str, said: str | None) -> None:
    found = subscription_token(key)
    assert found is None if said is None else said in (found or "")
    assert key not in (found or "")
