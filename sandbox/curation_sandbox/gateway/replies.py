"""Replies of the gateway's own, in the shape that the wire's clients read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from curation_sandbox.gateway.wires import Wire

NO_RETRY = {"x-should-retry": "false"}
"""Both providers' client libraries honour it."""

_KINDS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large", 503: "overloaded_error"}


def error(wire: Wire | None, status: int, message: str) -> bytes:
    """Anthropic: ``{"type": "error", "error": {"type", "message"}}``; OpenAI: ``{"error": {"message", "type",
    "param", "code"}}`` (API references, November 2026)."""
    kind = _KINDS.get(status, "api_error")
    if wire is Wire.MESSAGES:
        tree: object = {"type": "error", "error": {"type": kind, "message": message}}
    else:
        tree = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return json.dumps(tree).encode()


def models(names: Sequence[str]) -> bytes:
    """The list of models in both providers' shapes at once. It is answered here: the run's models are all there are,
    and what else the provider has is not the agent's business."""
    data = [
        {
            "id": name,
            "object": "model",
            "type": "model",
            "display_name": name,
            "created": 0,
            "created_at": "1970-01-01T00:00:00Z",
            "owned_by": "provider",
        }
        for name in names
    ]
    return json.dumps(
        {"object": "list", "data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    ).encode()
