"""The three wire formats that coding agents speak, and the endpoints the gateway answers at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Wire(StrEnum):
    """How requests and replies are written."""

    MESSAGES = "messages"
    """Anthropic Messages API, ``anthropic-version: 2023-06-01``."""
    RESPONSES = "responses"
    """OpenAI Responses API."""
    CHAT = "chat"
    """OpenAI Chat Completions API; most model servers speak it."""


@dataclass(frozen=True)
class Endpoint:
    """One allowed pair of method and path; everything else is refused."""

    method: str
    path: str
    kind: Literal["generate", "count", "models", "hello"]
    """``generate`` spends budget; ``count`` and ``models`` ask the provider; ``hello`` is answered here."""
    wire: Wire | None = None


ENDPOINTS: Final = (
    Endpoint("POST", "/v1/messages", "generate", Wire.MESSAGES),
    Endpoint("POST", "/v1/messages/count_tokens", "count", Wire.MESSAGES),
    Endpoint("POST", "/v1/responses", "generate", Wire.RESPONSES),
    Endpoint("POST", "/v1/chat/completions", "generate", Wire.CHAT),
    Endpoint("GET", "/v1/models", "models"),
    Endpoint("HEAD", "/api/hello", "hello"),
)


def endpoint(method: str, path: str) -> Endpoint | None:
    """The allowed endpoint, by exact path without its query; None: there is none."""
    return next((known for known in ENDPOINTS if (known.method, known.path) == (method, path)), None)
