"""OpenAI Responses API: what of a request passes.

Field names after the API reference and after the requests of Codex CLI 0.169.0 (November 2026).
"""

from __future__ import annotations

from typing import Any, Final

from curation_sandbox.gateway.filters import media
from curation_sandbox.gateway.filters.client_tools import (
    DEMANDED,
    PAST_CALL,
    client_tool,
    provider_tool,
    without_tools,
)
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
    string,
    strip,
    text,
    text_or,
)

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
    PAST_CALL,
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


def _tool_search(value: Any, spot: Spot) -> Any:
    by_client = value.get("execution") == "client"
    return _TOOL_SEARCH(value, spot) if by_client else provider_tool("tool_search", spot)


_TOOL_SEARCH: Final = fields({"type": text, "execution": text, "description": text, "parameters": schema})
_CALLED_BY_CLIENT: Final[dict[str, Rule]] = {"function": _FUNCTION, "custom": _CUSTOM}
_TOOLS: Final = listed(
    client_tool(
        {
            **_CALLED_BY_CLIENT,
            "local_shell": fields({"type": text}),
            "tool_search": _tool_search,
            "namespace": fields(
                {"type": text, "name": string, "description": text, "tools": listed(client_tool(_CALLED_BY_CLIENT))},
                need=("name",),
            ),
        }
    )
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


def _sealed(rule: Rule) -> Rule:
    """An item that the provider could look up by its id among what it keeps: the id stays behind unless the item's
    own content is there."""

    def kept(value: Any, spot: Spot) -> Any:
        rebuilt = rule(value, spot)
        if "id" in rebuilt and not rebuilt.get("encrypted_content"):
            del rebuilt["id"]
            spot.at("id").note(f"removed: {_STORED}")
        return rebuilt

    return kept


_SEALED: Final = _sealed(fields({"type": text, "id": text, "encrypted_content": text}, need=("encrypted_content",)))
_ITEMS: Final[dict[str, Rule]] = {
    "message": _MESSAGE,
    "agent_message": fields({"type": text, "id": text, "author": text, "recipient": text, "content": _content}),
    "reasoning": _sealed(
        fields(
            {
                "type": text,
                "id": text,
                "status": text,
                "summary": listed(fields({"type": text, "text": text})),
                "content": maybe(listed(fields({"type": text, "text": text}))),
                "encrypted_content": text,
            }
        )
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
_CHOICES: Final[dict[str, Rule]] = {
    "function": _choice,
    "custom": _choice,
    "local_shell": fields({"type": text}),
}


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
        "tools": listed(client_tool(_CHOICES)),
    }
)
_demanded = by_type(
    {**_CHOICES, "allowed_tools": _allowed_tools},
    shut={},
    otherwise=DEMANDED,
)


def _tool_choice(value: Any, spot: Spot) -> Any:
    return _demanded(value, spot) if isinstance(value, dict) else only("auto", "none", "required", None)(value, spot)


_RULES: Final = fields(
    {
        "model": string,
        "input": text_or(listed(_item)),
        "instructions": text,
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
    if body.get("tools"):
        without_tools(kept, spot)
    return kept
