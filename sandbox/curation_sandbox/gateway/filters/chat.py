"""OpenAI Chat Completions API, as OpenAI and most model servers speak it: what of a request passes.

Field names after the API reference, after what litellm sends for OpenHands, and after the fields that switch
thinking on and off at vLLM, Together, Moonshot and Alibaba (November 2026).
"""

from __future__ import annotations

import re
from typing import Any, Final

from curation_sandbox.gateway.filters import media
from curation_sandbox.gateway.filters.client_tools import DEMANDED, PROVIDER_RUNS, client_tool, without_tools
from curation_sandbox.gateway.filters.schemas import schema
from curation_sandbox.gateway.filters.shape import (
    DROP,
    Rule,
    Spot,
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

_NAME: Final = re.compile(r"[\w-][\w.:/-]{0,127}", re.ASCII)
"""Of a client's function. Some providers' own ones begin with ``$`` (Moonshot's ``$web_search``)."""
_UNKNOWN_PART: Final = "not a kind of content that may be sent"

_cache_control = maybe(fields({"type": only("ephemeral"), "ttl": only("5m", "1h", None)}))


def _image(value: Any, spot: Spot) -> Any:
    """``image_url`` as an object, or as some servers take it, the URL itself."""
    return media.image_url(value, spot) if isinstance(value, str) else _IMAGE(value, spot)


_IMAGE: Final = fields({"url": media.image_url, "detail": text}, need=("url",))
_part = by_type(
    {
        "text": fields({"type": text, "text": string, "cache_control": _cache_control}, need=("text",)),
        "refusal": fields({"type": text, "refusal": text}),
        "image_url": fields(
            {"type": text, "image_url": _image, "cache_control": _cache_control}, need=("image_url",)
        ),
        "file": fields(
            {
                "type": text,
                "file": fields(
                    {"filename": text, "file_data": media.file_url, "file_id": forbid(media.NO_FILE_ID)},
                    need=("file_data",),
                ),
                "cache_control": _cache_control,
            },
            need=("file",),
        ),
    },
    shut=dict.fromkeys(("video_url", "audio_url", "input_audio"), "neither sound nor film may be sent"),
    otherwise=_UNKNOWN_PART,
)

_called = fields({"name": text, "arguments": text})
_MESSAGE: Final = fields(
    {
        "role": string,
        "content": text_or(maybe(listed(_part))),
        "name": text,
        "tool_calls": maybe(
            listed(
                by_type(
                    {
                        "function": fields({"id": text, "type": text, "index": number, "function": _called}),
                        "custom": fields({"id": text, "type": text, "custom": fields({"name": text, "input": text})}),
                    },
                    shut={},
                    otherwise="not a call of a client's tool",
                )
            )
        ),
        "tool_call_id": text,
        "function_call": maybe(_called),
        "refusal": text,
        "reasoning_content": text,
        "reasoning": text,
        "cache_control": _cache_control,
        "annotations": unless_null,
        "audio": forbid("a sound stored with the provider"),
    },
    need=("role",),
)

_FUNCTION: Final = fields({"name": string, "description": text, "parameters": schema, "strict": flag}, need=("name",))
_TOOLS: Final[dict[str, Rule]] = {
    "function": fields({"type": text, "function": _FUNCTION, "cache_control": _cache_control}, need=("function",)),
    "custom": fields(
        {
            "type": text,
            "custom": fields(
                {
                    "name": string,
                    "description": text,
                    "format": maybe(
                        fields(
                            {"type": text, "grammar": maybe(fields({"syntax": text, "definition": text}))},
                        )
                    ),
                },
                need=("name",),
            ),
        },
        need=("custom",),
    ),
}


_ANY_TOOL: Final = client_tool(_TOOLS)


def _tool(value: Any, spot: Spot) -> Any:
    kept = _ANY_TOOL(value, spot)
    return kept if kept is DROP else _client_named(kept, kept[kept["type"]]["name"], spot)


def _legacy_function(value: Any, spot: Spot) -> Any:
    kept = _FUNCTION(value, spot)
    return _client_named(kept, kept["name"], spot)


def _client_named(tool: Any, name: str, spot: Spot) -> Any:
    if _NAME.fullmatch(name):
        return tool
    spot.note(f"{shown(name)} removed: not the name of a client's tool")
    return DROP


_named = fields({"name": string}, need=("name",))
_demanded = by_type(
    {
        "function": fields({"type": text, "function": _named}, need=("function",)),
        "custom": fields({"type": text, "custom": _named}, need=("custom",)),
    },
    shut={},
    otherwise=DEMANDED,
)


def _tool_choice(value: Any, spot: Spot) -> Any:
    return _demanded(value, spot) if isinstance(value, dict) else only("auto", "none", "required", None)(value, spot)


def _function_call(value: Any, spot: Spot) -> Any:
    return _named(value, spot) if isinstance(value, dict) else only("auto", "none", None)(value, spot)


_FORMAT: Final = by_type(
    {
        "text": fields({"type": text}),
        "json_object": fields({"type": text}),
        "json_schema": fields(
            {
                "type": text,
                "json_schema": fields({"name": text, "description": text, "schema": schema, "strict": flag}),
            }
        ),
    },
    shut={},
    otherwise="must be text, json_object or json_schema",
)


def _one(value: Any, spot: Spot) -> Any:
    """``n``: one choice, since one request counts as one."""
    number(value, spot)
    if value not in (None, 1):
        spot.note("set to 1")
        return 1
    return value


def _biases(value: Any, spot: Spot) -> Any:
    if not isinstance(value, dict):
        spot.refuse("must be an object")
    return {token: number(bias, spot) for token, bias in value.items()}


_SAMPLING: Final[dict[str, Rule]] = dict.fromkeys(
    (
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "top_logprobs",
    ),
    number,
)
_RULES: Final = fields(
    {
        **_SAMPLING,
        "model": string,
        "messages": listed(_MESSAGE),
        "tools": maybe(listed(_tool)),
        "tool_choice": _tool_choice,
        "parallel_tool_calls": flag,
        "functions": maybe(listed(_legacy_function)),
        "function_call": _function_call,
        "response_format": maybe(_FORMAT),
        "stop": text_or(maybe(listed(string))),
        "logprobs": flag,
        "logit_bias": maybe(_biases),
        "n": _one,
        "stream": flag,
        "stream_options": maybe(fields({"include_usage": flag, "include_obfuscation": flag})),
        "prompt_cache_key": scalar,
        "reasoning_effort": text,
        "verbosity": text,
        "reasoning": maybe(fields({"effort": text, "enabled": flag})),
        "thinking": maybe(fields({"type": text, "budget_tokens": number})),
        "enable_thinking": flag,
        # Only these: others may replace the server's own template or its arguments.
        "chat_template_kwargs": maybe(fields({"enable_thinking": flag, "thinking": flag})),
        "store": strip("removed: nothing is stored with the provider"),
        "metadata": strip(),
        "user": strip("removed: it may name a person"),
        "safety_identifier": strip("removed: it may name a person"),
        "service_tier": strip(),
        "web_search_options": strip(PROVIDER_RUNS),
        "modalities": strip("removed: text only"),
        "audio": strip("removed: text only"),
    }
)


def filtered(kind: str, body: dict[str, Any], spot: Spot) -> dict[str, Any]:
    """The body from what is allowed in it; a stream tells its usage."""
    kept: dict[str, Any] = _RULES(body, spot)
    if kept.get("stream"):
        options = kept.get("stream_options") or {}
        if options.get("include_usage") is not True:
            spot.at("stream_options").at("include_usage").note("set to true")
            kept["stream_options"] = {**options, "include_usage": True}
    _settle(kept, body, spot, "tools", "tool_choice", _TOOLS)
    _settle(kept, body, spot, "functions", "function_call", None)
    return kept


def _settle(
    kept: dict[str, Any], body: dict[str, Any], spot: Spot, tools: str, choice: str, kinds: dict[str, Rule] | None
) -> None:
    """After tools went: no choice of one that is gone, no empty list."""
    left = kept.get(tools)
    if left is None or len(left) == len(body[tools]):
        return
    chosen = kept.get(choice)
    if isinstance(chosen, dict):
        named = chosen[chosen["type"]] if kinds else chosen
        names = [(tool[tool["type"]] if kinds else tool)["name"] for tool in left]
        if named["name"] not in names:
            spot.at(choice).refuse(DEMANDED)
    without_tools(kept, spot, tools, choice)
