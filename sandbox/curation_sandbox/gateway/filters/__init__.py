"""What a request may ask of a provider.

The container has no network, but a provider has: its own tools, the addresses it fetches, the files and
conversations it stores would all be a way out. So a body is rebuilt from an allow-list (``shape``; one module a
wire); ``docs/gateway-filters.md`` lists what is dropped and what refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from curation_sandbox.gateway.filters import chat, messages, responses
from curation_sandbox.gateway.filters.shape import Notes, Refused, Spot, check_size
from curation_sandbox.gateway.wires import Wire

__all__ = ["Filtered", "Refused", "filter_body"]

_WIRES: Final = {Wire.MESSAGES: messages.filtered, Wire.RESPONSES: responses.filtered, Wire.CHAT: chat.filtered}


@dataclass(frozen=True)
class Filtered:
    """A body that may be sent, apart from its model, which the caller sets."""

    body: dict[str, Any]
    changes: tuple[str, ...] = ()
    """What was taken out or set, one line each, e.g. ``tools[3]: web_search_20250305 removed: …``. At most 101."""


def filter_body(wire: Wire, kind: Literal["generate", "count"], body: dict[str, Any]) -> Filtered:
    """Rebuild a parsed JSON body from what is allowed in it. Filtering the result again changes nothing.

    Args:
        kind: ``count`` (tokens of a prompt, nothing generated) allows fewer fields; only ``Wire.MESSAGES`` has it.

    Raises:
        Refused: it asks for what is shut, or has another shape than the API's.
    """
    if not isinstance(body, dict):
        raise Refused("the body: must be an object")
    check_size(body)
    notes = Notes()
    kept = _WIRES[wire](kind, body, Spot(notes))
    return Filtered(kept, notes.all())
