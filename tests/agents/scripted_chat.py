"""OpenAI Chat Completions API (as of 2025), with ``reasoning_content`` as open model servers have it."""

from __future__ import annotations

import json
from typing import Any

from scripted_messages import pieces
from scripted_moves import Conversation, Past, Spoken
from scripted_responses import CREATED, error

__all__ = ["error", "events", "read", "whole"]

Json = dict[str, Any]


def read(body: Json) -> Conversation:
    """Raises:
    ValueError: the API would refuse the request.
    """
    for name in ("model", "messages"):
        if name not in body:
            raise ValueError(f"you must provide a {name} parameter")
    opening: list[str] = []
    past: list[Past] = []
    unanswered: set[str] = set()
    for message in body["messages"]:
        role, text = message["role"], _text(message.get("content"))
        if role == "assistant":
            calls = tuple(call["id"] for call in message.get("tool_calls") or ())
            past.append(Past(calls, text, ""))
            unanswered |= set(calls)
        elif role == "tool":
            past[-1] = Past(past[-1].calls, past[-1].text, past[-1].results + text)
            unanswered.discard(message["tool_call_id"])
        elif role == "user" and not past:
            opening.append(text)
    if unanswered:
        raise ValueError(f"tool_call_ids without response messages: {', '.join(sorted(unanswered))}")
    tools = frozenset(tool["function"]["name"] for tool in body.get("tools") or () if tool["type"] == "function")
    return Conversation(body["model"], bool(body.get("stream")), "\n".join(opening), tuple(past), tools)


def _text(content: str | list[Json] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content)


def whole(spoken: Spoken) -> Json:
    """The reply to a request without ``stream``."""
    message: Json = {"role": "assistant", "content": spoken.text or None, "refusal": None}
    if spoken.think:
        message["reasoning_content"] = spoken.think
    if spoken.call:
        message["tool_calls"] = [_call(spoken)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(spoken)}
    return {**_head(spoken, "chat.completion"), "choices": [choice], "usage": _usage(spoken)}


def events(spoken: Spoken, include_usage: bool) -> list[bytes]:
    """The events of a streamed reply, in order; the figures come last and only if they were asked for."""
    head = _head(spoken, "chat.completion.chunk")
    if include_usage:
        head["usage"] = None
    deltas: list[Json] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"reasoning_content": piece} for piece in pieces(spoken.think)]
    deltas += [{"content": piece} for piece in pieces(spoken.text)]
    if spoken.call:
        call = _call(spoken)
        text = call["function"]["arguments"]
        begun = {"index": 0, **call, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces(text)]
    found = [_event({**head, "choices": [_choice(delta, None)]}) for delta in deltas]
    found.append(_event({**head, "choices": [_choice({}, _finish(spoken))]}))
    if include_usage:
        found.append(_event({**head, "choices": [], "usage": _usage(spoken)}))
    return [*found, b"data: [DONE]\n\n"]


def _head(spoken: Spoken, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{spoken.id}",
        "object": kind,
        "created": CREATED,
        "model": spoken.model,
        "system_fingerprint": "fp_scripted",
    }


def _usage(spoken: Spoken) -> Json:
    return {
        "prompt_tokens": spoken.input,
        "completion_tokens": spoken.output,
        "total_tokens": spoken.input + spoken.output,
        "prompt_tokens_details": {"cached_tokens": spoken.cached},
        "completion_tokens_details": {"reasoning_tokens": spoken.reasoning},
    }


def _call(spoken: Spoken) -> Json:
    assert spoken.call is not None
    arguments = json.dumps(spoken.call.arguments)
    return {
        "id": f"call_{spoken.call.id}",
        "type": "function",
        "function": {"name": spoken.call.name, "arguments": arguments},
    }


def _choice(delta: Json, finish: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _finish(spoken: Spoken) -> str:
    return "tool_calls" if spoken.call else "stop"


def _event(data: Json) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
