"""OpenAI Responses API: what of a request passes.

Field names after the API reference and after the requests of Codex CLI 0.169.0 (November 2026).
"""

from __future__ import annotations

from typing import Any, Final

from curation_sandbox.gateway.filters import media
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
)

_PROVIDER_RUNS: Final = "removed: the provider would run it"
_PAST_SERVER_TOOL: Final = "the record of a tool that the provider runs; such tools are shut"
_UNKNOWN_ITEM: Final = "not a kind of item that may be sent"
_UNKNOWN_CONTENT: Final = "not a kind of content that may be sent"
_STORED: Final = "something stored with the provider; send the whole conversation"
_SHUT_ITEMS: Final = dict.fromkeys(
    (
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "shell_call",
        "shell_call_output",
    ),
    _PAST_SERVER_TOOL,
) | {"item_reference": _STORED}


def _client_side(value: Any, spot: Spot) -> Any:
    """``execution`` of a tool search: by the client, in the container."""
    return value if value == "client" else spot.refuse("a tool search must say execution: client")


def _empty(value: Any, spot: Spot) -> Any:
    """A list that the reply had and the request need not repeat, such as annotations with addresses."""
    if value:
        spot.note("emptied")
    return []


_FUNCTION: Final = fields(
    {
        "type": text,
        "name": string,
        "description": text,
        "parameters": schema,
        "strict": flag,
        "defer_loading": flag,
    },
    need=("name",),
)
_CUSTOM: Final = fields(
    {
        "type": text,
        "name": string,
        "description": text,
        "format": maybe(fields({"type": text, "syntax": text, "definition": text})),
        "defer_loading": flag,
    },
    need=("name",),
)


def _tools(kinds: dict[str, Rule]) -> Rule:
    """Tools of these types; others, however spelled, are dropped."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            spot.refuse("must be an object")
        kind = value.get("type")
        known = kinds.get(kind) if isinstance(kind, str) else None
        if known is not None:
            return known(value, spot)
        spot.note(f"{shown(kind)} {_PROVIDER_RUNS}")
        return DROP

    return listed(rule)


def _tool_search(value: Any, spot: Spot) -> Any:
    if value.get("execution") == "client":
        return _TOOL_SEARCH(value, spot)
    spot.note(f"tool_search {_PROVIDER_RUNS}")
    return DROP


_TOOL_SEARCH: Final = fields({"type": text, "execution": text, "description": text, "parameters": schema})
_CALLED_BY_CLIENT: Final[dict[str, Rule]] = {"function": _FUNCTION, "custom": _CUSTOM}
_TOOLS: Final = _tools(
    {
        **_CALLED_BY_CLIENT,
        "local_shell": fields({"type": text}),
        "tool_search": _tool_search,
        "namespace": fields(
            {"type": text, "name": string, "description": text, "tools": _tools(_CALLED_BY_CLIENT)}, need=("name",)
        ),
    }
)

_INPUT_CONTENT: Final[dict[str, Rule]] = {
    "input_text": fields({"type": text, "text": string}, need=("text",)),
    "input_image": fields(
        {
            "type": text,
            "image_url": media.image_url,
            "detail": text,
            "file_id": forbid(media.NO_FILE_ID),
        },
        need=("image_url",),
    ),
    "input_file": fields(
        {
            "type": text,
            "filename": text,
            "file_data": media.file_url,
            "file_id": forbid(media.NO_FILE_ID),
            "file_url": forbid(media.INLINE),
        },
        need=("file_data",),
    ),
}
_content = text_or(
    listed(
        by_type(
            {
                **_INPUT_CONTENT,
                "output_text": fields({"type": text, "text": string, "annotations": _empty, "logprobs": _empty}),
                "refusal": fields({"type": text, "refusal": text}),
                # Between Codex's agents: sealed by the provider, opened by it.
                "encrypted_content": fields({"type": text, "encrypted_content": text}),
            },
            shut={},
            otherwise=_UNKNOWN_CONTENT,
        )
    )
)
_output = text_or(listed(by_type(_INPUT_CONTENT, shut={}, otherwise=_UNKNOWN_CONTENT)))
_MESSAGE: Final = fields(
    {"type": text, "id": text, "role": string, "status": text, "phase": text, "content": _content},
    need=("role", "content"),
)
_CALL: Final[dict[str, Rule]] = {"type": text, "id": text, "call_id": text, "status": text}
_SEALED: Final = fields({"type": text, "id": text, "encrypted_content": text})
_ITEMS: Final[dict[str, Rule]] = {
    "message": _MESSAGE,
    "agent_message": fields({"type": text, "id": text, "author": text, "recipient": text, "content": _content}),
    "reasoning": fields(
        {
            "type": text,
            "id": text,
            "status": text,
            "summary": listed(fields({"type": text, "text": text})),
            "content": maybe(listed(fields({"type": text, "text": text}))),
            "encrypted_content": text,
        }
    ),
    "function_call": fields({**_CALL, "name": text, "namespace": text, "arguments": text}),
    "function_call_output": fields({**_CALL, "output": _output}),
    "custom_tool_call": fields({**_CALL, "name": text, "namespace": text, "input": text}),
    "custom_tool_call_output": fields({**_CALL, "name": text, "output": _output}),
    "local_shell_call": fields({**_CALL, "action": anything}),
    "local_shell_call_output": fields({**_CALL, "output": text}),
    "tool_search_call": fields({**_CALL, "execution": _client_side, "arguments": anything}, need=("execution",)),
    "tool_search_output": fields({**_CALL, "execution": _client_side, "tools": _TOOLS}, need=("execution",)),
    "additional_tools": fields({"type": text, "id": text, "role": text, "tools": _TOOLS}),
    # A summary that the provider sealed, in the request itself, and the wish for one: model work, nothing stored.
    "compaction": _SEALED,
    "context_compaction": _SEALED,
    "compaction_trigger": fields({"type": text, "id": text}),
}
_typed_item = by_type(_ITEMS, shut=_SHUT_ITEMS, otherwise=_UNKNOWN_ITEM)


def _item(value: Any, spot: Spot) -> Any:
    """A message may leave its type out."""
    untyped = isinstance(value, dict) and "type" not in value and "role" in value
    return _MESSAGE(value, spot) if untyped else _typed_item(value, spot)


_choice = fields({"type": text, "name": string}, need=("name",))


def _allowed_tools(value: Any, spot: Spot) -> Any:
    kept = _ALLOWED_TOOLS(value, spot)
    if kept.get("tools"):
        return kept
    spot.note("removed with the last tool")
    return DROP


_ALLOWED_TOOLS: Final = fields(
    {
        "type": text,
        "mode": text,
        "tools": _tools({"function": _choice, "custom": _choice, "local_shell": fields({"type": text})}),
    }
)
_demanded = by_type(
    {
        "function": _choice,
        "custom": _choice,
        "local_shell": fields({"type": text}),
        "allowed_tools": _allowed_tools,
    },
    shut={},
    otherwise="demands a tool that the provider would run; there is no such tool here",
)


def _tool_choice(value: Any, spot: Spot) -> Any:
    return _demanded(value, spot) if isinstance(value, dict) else only("auto", "none", "required", None)(value, spot)


_RULES: Final = fields(
    {
        "model": string,
        "input": text_or(listed(_item)),
        "instructions": text_or(maybe(listed(_item))),
        "tools": maybe(_TOOLS),
        "tool_choice": _tool_choice,
        "parallel_tool_calls": flag,
        "reasoning": maybe(fields({"effort": text, "summary": text, "generate_summary": text, "context": text})),
        "text": maybe(
            fields(
                {
                    "verbosity": text,
                    "format": maybe(
                        fields(
                            {
                                "type": only("text", "json_object", "json_schema"),
                                "name": text,
                                "description": text,
                                "schema": schema,
                                "strict": flag,
                            }
                        )
                    ),
                }
            )
        ),
        "include": maybe(listed(only("reasoning.encrypted_content", "message.output_text.logprobs"))),
        "stream": flag,
        "stream_options": maybe(fields({"include_obfuscation": flag})),
        "temperature": number,
        "top_p": number,
        "top_logprobs": number,
        "max_output_tokens": number,
        "truncation": text,
        "prompt_cache_key": scalar,
        "prompt_cache_retention": strip("removed: it keeps prompts with the provider"),
        "store": flag,
        "metadata": strip(),
        "user": strip("removed: it may name a person"),
        "safety_identifier": strip("removed: it may name a person"),
        "client_metadata": strip("removed: it may name a person or a machine"),
        "service_tier": strip(),
        "background": forbid("a response made in the background is stored with the provider; ask without it"),
        "previous_response_id": forbid(_STORED),
        "conversation": forbid(_STORED),
        "prompt": forbid("a prompt stored with the provider; send its text"),
    }
)


def filtered(kind: str, body: dict[str, Any], spot: Spot) -> dict[str, Any]:
    """The body from what is allowed in it, never stored."""
    kept: dict[str, Any] = _RULES(body, spot)
    if kept.get("store") is not False:
        spot.at("store").note("set to false")
        kept["store"] = False
    if body.get("tools") and not kept["tools"]:
        del kept["tools"]
        if kept.pop("tool_choice", None) is not None:
            spot.at("tool_choice").note("removed with the last tool")
    return kept
