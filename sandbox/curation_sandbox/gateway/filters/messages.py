"""Anthropic Messages API (``anthropic-version: 2023-06-01``): what of a request passes.

Field names after the API reference and after the requests of Claude Code 2.1.329 (November 2026).
"""

from __future__ import annotations

import re
from typing import Any, Final

from curation_sandbox.gateway.filters import media
from curation_sandbox.gateway.filters.client_tools import PAST_CALL, provider_tool, without_tools
from curation_sandbox.gateway.filters.schemas import schema
from curation_sandbox.gateway.filters.shape import (
    DROP,
    Rule,
    Spot,
    anything,
    by_type,
    fields,
    flag,
    forbid,
    listed,
    maybe,
    number,
    only,
    scalar,
    shown,
    string,
    strip,
    text,
    text_or,
    unless_null,
)

_CLIENT_TOOL: Final = re.compile(r"(bash|text_editor|memory)_\d{8}", re.ASCII)
"""Typed by the provider but run by the client, in the container."""
_CONTEXT_EDIT: Final = re.compile(r"clear_(thinking|tool_uses)_\d{8}", re.ASCII)
"""Edits that only leave out parts of what was sent."""

_UNKNOWN_BLOCK: Final = "not a kind of content that may be sent"
_SHUT_BLOCKS: Final = dict.fromkeys(
    (
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "mcp_tool_listing",
    ),
    PAST_CALL,
) | {"container_upload": "a file in a provider's container; containers are shut"}

_cache_control = maybe(fields({"type": only("ephemeral"), "ttl": only("5m", "1h", None)}))
_effort = fields({"effort": scalar})


def _caller(value: Any, spot: Spot) -> Any:
    if value in (None, {"type": "direct"}):
        return value
    spot.note("removed")
    return DROP


_TEXT: Final = fields(
    {
        "type": text,
        "text": string,
        "cache_control": _cache_control,
        "citations": unless_null,
    },
    need=("text",),
)

_SHUT_SOURCES: Final = {"url": media.INLINE, "file": media.NO_FILE_ID}


def _inline(*allowed: str) -> Rule:
    return fields(
        {"type": text, "media_type": media.media_type(*allowed), "data": string}, need=("media_type", "data")
    )


_IMAGE: Final = fields(
    {
        "type": text,
        "source": by_type({"base64": _inline(*media.IMAGES)}, shut=_SHUT_SOURCES, otherwise=media.INLINE),
        "cache_control": _cache_control,
    },
    need=("source",),
)
_quoted = by_type({"text": _TEXT, "image": _IMAGE}, shut=_SHUT_BLOCKS, otherwise=_UNKNOWN_BLOCK)
_DOCUMENT: Final = fields(
    {
        "type": text,
        "source": by_type(
            {
                "base64": _inline("application/pdf"),
                "text": _inline("text/plain"),
                "content": fields({"type": text, "content": text_or(listed(_quoted))}, need=("content",)),
            },
            shut=_SHUT_SOURCES,
            otherwise=media.INLINE,
        ),
        "title": text,
        "context": text,
        "citations": maybe(fields({"enabled": flag})),
        "cache_control": _cache_control,
    },
    need=("source",),
)
_TOOL_REFERENCE: Final = fields({"type": text, "tool_name": text, "name": text, "cache_control": _cache_control})
_result_content = text_or(
    listed(
        by_type(
            {"text": _TEXT, "image": _IMAGE, "document": _DOCUMENT, "tool_reference": _TOOL_REFERENCE},
            shut=_SHUT_BLOCKS,
            otherwise=_UNKNOWN_BLOCK,
        )
    )
)


def _tool(value: Any, spot: Spot) -> Any:
    """A tool that the client runs; any other is dropped, however its type is spelled."""
    if not isinstance(value, dict):
        spot.refuse("must be an object")
    kind = value.get("type")
    if kind is None or kind == "custom" or (isinstance(kind, str) and _CLIENT_TOOL.fullmatch(kind)):
        return _TOOL(value, spot)
    return provider_tool(kind, spot)


def _callers(value: Any, spot: Spot) -> Any:
    """Only the model itself may call a tool, not code that the provider runs."""
    if value in (None, ["direct"]):
        return value
    spot.note("removed: code at the provider may not call tools")
    return DROP


_TOOL: Final = fields(
    {
        "type": text,
        "name": string,
        "description": text,
        "input_schema": schema,
        "cache_control": _cache_control,
        "defer_loading": flag,
        "strict": flag,
        "eager_input_streaming": flag,
        "input_examples": anything,
        "max_characters": number,
        "allowed_callers": _callers,
    },
    need=("name",),
)


def _late_tool(value: Any, spot: Spot) -> Any:
    """A definition inside the conversation must be a client's tool: it cannot be left out without a trace."""
    kept = _tool(value, spot)
    return spot.refuse("a tool that the provider would run; such tools are shut") if kept is DROP else kept


_tool_change = fields(
    {
        "type": text,
        "tool": by_type(
            {"tool_reference": _TOOL_REFERENCE, "tool_definition": fields({"type": text, "definition": _late_tool})},
            shut={},
            otherwise="must be a tool_reference or a tool_definition",
        ),
        "cache_control": _cache_control,
    },
    need=("tool",),
)

_block = by_type(
    {
        "text": _TEXT,
        "image": _IMAGE,
        "document": _DOCUMENT,
        "thinking": fields({"type": text, "thinking": text, "signature": text, "cache_control": _cache_control}),
        "redacted_thinking": fields({"type": text, "data": text}),
        "tool_use": fields(
            {
                "type": text,
                "id": text,
                "name": text,
                "input": anything,
                "cache_control": _cache_control,
                "caller": _caller,
            }
        ),
        "tool_result": fields(
            {
                "type": text,
                "tool_use_id": text,
                "content": maybe(_result_content),
                "is_error": flag,
                "cache_control": _cache_control,
            }
        ),
        "tool_reference": _TOOL_REFERENCE,
        "tool_addition": _tool_change,
        "tool_removal": _tool_change,
    },
    shut=_SHUT_BLOCKS,
    otherwise=_UNKNOWN_BLOCK,
)


def _context_edit(value: Any, spot: Spot) -> Any:
    if not isinstance(value, dict):
        spot.refuse("must be an object")
    kind = value.get("type")
    if isinstance(kind, str) and _CONTEXT_EDIT.fullmatch(kind):
        return _CONTEXT_EDITS(value, spot)
    spot.note(f"{shown(kind)} removed")
    return DROP


_amount = text_or(fields({"type": text, "value": number}))
_CONTEXT_EDITS: Final = fields(
    {
        "type": text,
        "keep": _amount,
        "trigger": _amount,
        "clear_at_least": maybe(_amount),
        "exclude_tools": maybe(listed(text)),
        "clear_tool_inputs": flag,
    }
)
_format = maybe(fields({"type": only("json_schema", "text"), "schema": schema, "name": text}))

_STORED: Final = "a conversation stored with the provider; send the whole conversation"
_COUNT: Final[dict[str, Rule]] = {
    "model": string,
    "messages": listed(
        fields(
            {
                "role": string,
                "content": text_or(listed(_block)),
                "output_config": _effort,
            },
            need=("role", "content"),
        )
    ),
    "system": text_or(maybe(listed(by_type({"text": _TEXT}, shut=_SHUT_BLOCKS, otherwise=_UNKNOWN_BLOCK)))),
    "tools": maybe(listed(_tool)),
    "tool_choice": maybe(fields({"type": string, "name": text, "disable_parallel_tool_use": flag}, need=("type",))),
    "thinking": maybe(fields({"type": text, "budget_tokens": number, "display": text})),
    "context_management": maybe(fields({"edits": listed(_context_edit)})),
    "output_config": maybe(
        fields(
            {
                "effort": scalar,
                "format": _format,
                "task_budget": maybe(fields({"type": text, "total": number, "remaining": number})),
            }
        )
    ),
    "output_format": _format,
    "cache_control": _cache_control,
    "metadata": strip("removed: it may name a person or a machine"),
    "service_tier": strip(),
    "mcp_servers": strip("removed: the provider would call them"),
    "container": forbid("a provider's container; containers are shut"),
    "thread": forbid(_STORED),
}
"""What ``/v1/messages/count_tokens`` takes."""
_GENERATE: Final[dict[str, Rule]] = {
    **_COUNT,
    "max_tokens": number,
    "stream": flag,
    "stop_sequences": maybe(listed(text)),
    "temperature": number,
    "top_p": number,
    "top_k": number,
}
_RULES: Final = {"generate": fields(_GENERATE), "count": fields(_COUNT)}


def filtered(kind: str, body: dict[str, Any], spot: Spot) -> dict[str, Any]:
    """The body from what is allowed in it."""
    kept: dict[str, Any] = _RULES[kind](body, spot)
    if len(kept.get("tools") or ()) < len(body.get("tools") or ()):
        _settle_tools(kept, spot)
    return kept


def _settle_tools(kept: dict[str, Any], spot: Spot) -> None:
    """After tools went: no choice of one that is gone, no empty list."""
    choice = kept.get("tool_choice")
    names = [tool["name"] for tool in kept["tools"]]
    if choice is not None and choice["type"] == "tool" and choice.get("name") not in names:
        spot.at("tool_choice").refuse(
            f"demands {shown(choice.get('name'))}, which the provider would run; there is no such tool here"
        )
    without_tools(kept, spot)
