"""Headers that pass, by allow-list: of a request to the provider, of a reply to the agent's program.

Credentials, addresses, ids of installations and sessions, and everything not named here stay behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from curation_sandbox import __version__
from curation_sandbox.gateway.beta import allowed_betas
from curation_sandbox.gateway.wires import Wire

_VERSION: Final = re.compile(r"20\d\d-\d\d-\d\d", re.ASCII)
_ANTHROPIC_VERSION: Final = "2023-06-01"
"""The one version of the Messages API there is."""
_RESPONSES_LITE: Final = "x-openai-internal-codex-responses-lite"
"""Codex (0.169.0) says with it, by ``true``, that its tools stand among the input items; without it OpenAI's API does
not read them."""
_REPLY: Final = ("content-type", "request-id", "x-request-id")


def for_provider(given: Mapping[str, str], wire: Wire | None, *, stream: bool) -> tuple[dict[str, str], list[str]]:
    """(headers to send, what was left out and an agent's author may wonder about)."""
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "user-agent": f"curation-harness/{__version__}",
    }
    changes: list[str] = []
    if wire is Wire.MESSAGES:
        version = given.get("anthropic-version", "")
        headers["anthropic-version"] = version if _VERSION.fullmatch(version) else _ANTHROPIC_VERSION
        kept, dropped = allowed_betas(given.get("anthropic-beta", ""))
        if kept:
            headers["anthropic-beta"] = kept
        changes += [f"header anthropic-beta: {flag} removed" for flag in dropped]
    if wire is Wire.RESPONSES and given.get(_RESPONSES_LITE) == "true":
        headers[_RESPONSES_LITE] = "true"
    return headers, changes


def for_client(given: Mapping[str, str]) -> dict[str, str]:
    """Headers of a reply that are passed on. Lengths and encodings are our server's own."""
    return {name: value for name, value in given.items() if name.lower() in _REPLY and value.isprintable()}
