"""Asks a provider, before anything is started, whether it can be reached and takes the key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx

from curation_sandbox.errors import KeyRefused, ProviderUnreachable
from curation_sandbox.gateway.desk import Upstream
from curation_sandbox.gateway.wires import ENDPOINTS, Wire

SECONDS: Final = 10.0

_NO_LIST: Final = (404, 405, 501)


@dataclass(frozen=True)
class ProbeResult:
    """What a provider that answers told."""

    models: tuple[str, ...] | None
    """Names of its models; None: it does not list them."""


def probe(upstream: Upstream, wire: Wire | None = None, transport: httpx.BaseTransport | None = None) -> ProbeResult:
    """Ask for the list of models with the key; where there is none, try the wire's own address with an empty request,
    which costs nothing and generates nothing.

    Raises:
        ProviderUnreachable: no answer, or one that is none of a model provider.
        KeyRefused: the provider does not take the key, or wants one.
    """
    url = f"{upstream.base_url}/v1/models"
    key = upstream.key.get_secret_value() if upstream.key else ""
    logins = {"x-api-key": {"x-api-key": key}, "bearer": {"authorization": f"Bearer {key}"}, "none": {}}
    headers = logins[upstream.auth]
    try:
        with httpx.Client(timeout=SECONDS, transport=transport, follow_redirects=False) as client:
            headers["anthropic-version"] = "2023-06-01"
            answer = client.get(url, headers=headers, params={"limit": "1000"})
            if answer.status_code in _NO_LIST and wire is not None:
                url = upstream.base_url + next(known.path for known in ENDPOINTS if known.wire is wire)
                answer = client.post(url, headers=headers, json={})
                if answer.status_code in (400, 422):
                    return ProbeResult(models=None)
    except httpx.HTTPError as error:
        raise ProviderUnreachable(
            f"provider {upstream.provider} cannot be reached at {upstream.base_url}: {_reason(error)}",
            hint="Is the server running? Check the address (--base-url), the network and the proxy settings.",
        ) from None
    if answer.status_code in (401, 403):
        said = "refuses the key" if upstream.key else "wants a key, and none is given"
        raise KeyRefused(
            f"provider {upstream.provider} ({upstream.base_url}) {said} (HTTP {answer.status_code})",
            hint="docs/models.md names the variable of each provider's key.",
        )
    if answer.status_code in _NO_LIST and wire is None:
        return ProbeResult(models=None)
    if answer.status_code != 200:
        raise ProviderUnreachable(
            f"provider {upstream.provider} answers HTTP {answer.status_code} at {url}",
            hint="If it passes, try again later; else check --base-url.",
        )
    return ProbeResult(models=_names(answer))


def _reason(error: httpx.HTTPError) -> str:
    """In words; the error's own text could quote addresses with credentials."""
    if isinstance(error, httpx.ConnectError):
        return "no connection (refused, or no such host)"
    return "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__


def _names(answer: httpx.Response) -> tuple[str, ...] | None:
    """Names in a list of models: ``{"data": [{"id": …}]}`` or, at some providers, the bare list."""
    try:
        tree = answer.json()
    except ValueError:
        return None
    listed = tree.get("data") if isinstance(tree, dict) else tree
    if not isinstance(listed, list):
        return None
    names = [entry.get("id") for entry in listed if isinstance(entry, dict)]
    return tuple(name for name in names if isinstance(name, str)) or None


def subscription_token(key: str) -> str | None:
    """Why a text is no API key but the login of a subscription (OAuth of Claude or ChatGPT accounts); None: it may
    be a key. Such logins are not supported: they belong to a person's own use of a program, expire within a run, and
    would have to be renewed from inside."""
    if key.startswith(("sk-ant-oat", "sk-ant-ort")):
        return "this is the login of a Claude subscription, not an API key; subscriptions are not supported"
    if key.startswith("eyJ") and key.count(".") == 2:
        return "this is an OAuth token (of a ChatGPT account, say), not an API key; subscriptions are not supported"
    return None
