"""Anthropic Messages API, ``anthropic-version: 2023-06-01``: requests read, replies written."""

from __future__ import annotations

import json
from typing import Any

from scripted_moves import Conversation, Past, Spoken

Json = dict[str, Any]


def read(body: Json) -> Conversation:
    """Raises:
    ValueError: the API would refuse the request.
    """
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise ValueError(f"{name}: Field required")
    opening: list[str] = []
    past: list[Past] = []
    for message in body["messages"]:
        blocks = _blocks(message["content"])
        if message["role"] == "assistant":
            calls = tuple(block["id"] for block in blocks if block["type"] == "tool_use")
            past.append(Past(calls, _text(blocks), ""))
        elif past:
            last = past[-1]
            past[-1] = Past(last.calls, last.text, last.results + _results(blocks))
        else:
            opening.append(_text(blocks))
    _check_results(body["messages"])
    tools = frozenset(tool["name"] for tool in body.get("tools") or () if "input_schema" in tool)
    return Conversation(body["model"], bool(body.get("stream")), "\n".join(opening), tuple(past), tools)


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(blocks: list[Json]) -> str:
    return "".join(block["text"] for block in blocks if block["type"] == "text")


def _results(blocks: list[Json]) -> str:
    return "".join(_text(_blocks(block.get("content") or "")) for block in blocks if block["type"] == "tool_result")


def _check_results(messages: list[Json]) -> None:
    """Every tool call is answered in the message after it, as the API demands."""
    for message, after in zip(messages, [*messages[1:], None], strict=True):
        asked = {block["id"] for block in _blocks(message["content"]) if block["type"] == "tool_use"}
        if not asked or message["role"] != "assistant":
            continue
        blocks = _blocks(after["content"]) if after else []
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if asked - answered:
            raise ValueError(f"messages: `tool_use` ids without `tool_result` blocks after them: {asked - answered}")


def whole(spoken: Spoken) -> Json:
    """The reply to a request without ``stream``."""
    return {
        **_message(spoken),
        "content": [block for block, _ in _content(spoken)],
        "stop_reason": _stop_reason(spoken),
        "usage": _usage(spoken, spoken.output),
    }


def events(spoken: Spoken) -> list[bytes]:
    """The events of a streamed reply, in order."""
    start = {**_message(spoken), "content": [], "stop_reason": None, "usage": _usage(spoken, 1)}
    found = [_event("message_start", message=start)]
    for index, (block, deltas) in enumerate(_content(spoken)):
        found.append(_event("content_block_start", index=index, content_block=_empty(block)))
        if index == 0:
            found.append(_event("ping"))
        found += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(_event("content_block_stop", index=index))
    delta = {"stop_reason": _stop_reason(spoken), "stop_sequence": None}
    found.append(_event("message_delta", delta=delta, usage=_usage(spoken, spoken.output)))
    return [*found, _event("message_stop")]


def error(status: int, message: str) -> Json:
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
    kinds |= {404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


def _message(spoken: Spoken) -> Json:
    return {
        "id": f"msg_{spoken.id}",
        "type": "message",
        "role": "assistant",
        "model": spoken.model,
        "stop_sequence": None,
    }


def _usage(spoken: Spoken, output: int) -> Json:
    return {
        "input_tokens": spoken.input - spoken.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": spoken.cached,
        "output_tokens": output,
        "service_tier": "standard",
    }


def _stop_reason(spoken: Spoken) -> str:
    return "tool_use" if spoken.call else "end_turn"


def _content(spoken: Spoken) -> list[tuple[Json, list[Json]]]:
    """Each block of the reply, and the deltas it is streamed in."""
    found: list[tuple[Json, list[Json]]] = []
    if spoken.think:
        signature = f"sig-{spoken.id}"
        deltas: list[Json] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(spoken.think)]
        deltas.append({"type": "signature_delta", "signature": signature})
        found.append(({"type": "thinking", "thinking": spoken.think, "signature": signature}, deltas))
    if spoken.text:
        texts: list[Json] = [{"type": "text_delta", "text": piece} for piece in pieces(spoken.text)]
        found.append(({"type": "text", "text": spoken.text}, texts))
    if spoken.call:
        call = spoken.call
        block = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": call.arguments}
        parts = ["", *pieces(json.dumps(call.arguments))]
        found.append((block, [{"type": "input_json_delta", "partial_json": part} for part in parts]))
    return found


def _empty(block: Json) -> Json:
    """A block as it begins."""
    blank = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}
    return {**block, **blank[block["type"]]}


def _event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def pieces(text: str) -> list[str]:
    """A text in the few pieces that it is streamed in."""
    size = max(16, (len(text) + 3) // 4)
    return [text[start : start + size] for start in range(0, len(text), size)]
