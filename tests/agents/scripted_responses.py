"""OpenAI Responses API (as of 2025): requests read, replies written."""

from __future__ import annotations

import json
from typing import Any

from scripted_messages import pieces
from scripted_moves import Conversation, Past, Spoken

Json = dict[str, Any]
CREATED = 1_767_225_600


def read(body: Json) -> Conversation:
    """Raises:
    ValueError: the API would refuse the request.
    """
    for name in ("model", "input"):
        if name not in body:
            raise ValueError(f"Missing required parameter: '{name}'.")
    items = body["input"] if isinstance(body["input"], list) else [_user(body["input"])]
    opening: list[str] = []
    past: list[Past] = []
    within = False
    for item in items:
        kind = item.get("type", "message")
        if kind in ("function_call", "custom_tool_call") or (kind == "message" and item["role"] == "assistant"):
            if not within:
                past.append(Past((), "", ""))
            past[-1] = _spoken_before(past[-1], item, kind)
            within = True
        elif kind in ("function_call_output", "custom_tool_call_output"):
            past[-1] = Past(past[-1].calls, past[-1].text, past[-1].results + _text(item["output"]))
            within = False
        elif kind == "message":
            within = False
            if not past:
                opening.append(_text(item["content"]))
    _check_results(items)
    tools = frozenset(tool["name"] for tool in body.get("tools") or () if tool["type"] in ("function", "custom"))
    return Conversation(body["model"], bool(body.get("stream")), "\n".join(opening), tuple(past), tools)


def _user(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}


def _spoken_before(past: Past, item: Json, kind: str) -> Past:
    if kind == "message":
        return Past(past.calls, past.text + _text(item["content"]), past.results)
    return Past((*past.calls, item["call_id"]), past.text, past.results)


def _text(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _check_results(items: list[Json]) -> None:
    """Every function call is answered, as the API demands."""
    asked = {item["call_id"] for item in items if item.get("type") == "function_call"}
    answered = {item["call_id"] for item in items if item.get("type") == "function_call_output"}
    if asked != answered:
        raise ValueError(f"No tool output found for function call {', '.join(sorted(asked ^ answered))}.")


def whole(spoken: Spoken) -> Json:
    """The reply to a request without ``stream``."""
    items = [item for item, _ in _output(spoken)]
    return {**_response(spoken, "completed"), "output": items, "usage": _usage(spoken)}


def events(spoken: Spoken) -> list[bytes]:
    """The events of a streamed reply, in order."""
    begun = {**_response(spoken, "in_progress"), "output": [], "usage": None}
    found: list[tuple[str, Json]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
    ]
    for index, (item, inner) in enumerate(_output(spoken)):
        place = {"output_index": index}
        found.append(("response.output_item.added", {**place, "item": _begun(item)}))
        found += [(name, {"item_id": item["id"], **place, **data}) for name, data in inner]
        found.append(("response.output_item.done", {**place, "item": item}))
    found.append(("response.completed", {"response": whole(spoken)}))
    return [_event(name, {"sequence_number": number, **data}) for number, (name, data) in enumerate(found)]


def error(status: int, message: str) -> Json:
    kinds = {401: "authentication_error", 429: "requests"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _response(spoken: Spoken, status: str) -> Json:
    return {
        "id": f"resp_{spoken.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": spoken.model,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
    }


def _usage(spoken: Spoken) -> Json:
    return {
        "input_tokens": spoken.input,
        "input_tokens_details": {"cached_tokens": spoken.cached},
        "output_tokens": spoken.output,
        "output_tokens_details": {"reasoning_tokens": spoken.reasoning},
        "total_tokens": spoken.input + spoken.output,
    }


def _output(spoken: Spoken) -> list[tuple[Json, list[tuple[str, Json]]]]:
    """Each item of the reply, and the events between its first and its last."""
    found = []
    if spoken.think:
        found.append(_reasoning(spoken))
    if spoken.text:
        found.append(_message(spoken))
    if spoken.call:
        call = spoken.call
        text = json.dumps(call.arguments)
        item = {
            "id": f"fc_{spoken.id}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{call.id}",
            "name": call.name,
            "arguments": text,
        }
        inner: list[tuple[str, Json]] = [
            ("response.function_call_arguments.delta", {"delta": piece}) for piece in pieces(text)
        ]
        found.append((item, [*inner, ("response.function_call_arguments.done", {"arguments": text})]))
    return found


def _reasoning(spoken: Spoken) -> tuple[Json, list[tuple[str, Json]]]:
    part = {"type": "summary_text", "text": spoken.think}
    item = {"id": f"rs_{spoken.id}", "type": "reasoning", "summary": [part], "encrypted_content": f"enc-{spoken.id}"}
    place = {"summary_index": 0}
    inner: list[tuple[str, Json]] = [
        ("response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.reasoning_summary_text.delta", {**place, "delta": piece}) for piece in pieces(spoken.think)),
        ("response.reasoning_summary_text.done", {**place, "text": spoken.think}),
        ("response.reasoning_summary_part.done", {**place, "part": part}),
    ]
    return item, inner


def _message(spoken: Spoken) -> tuple[Json, list[tuple[str, Json]]]:
    part = {"type": "output_text", "text": spoken.text, "annotations": [], "logprobs": []}
    item = {
        "id": f"msg_{spoken.id}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }
    place = {"content_index": 0}
    inner: list[tuple[str, Json]] = [
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**place, "delta": p, "logprobs": []}) for p in pieces(spoken.text)),
        ("response.output_text.done", {**place, "text": spoken.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": part}),
    ]
    return item, inner


def _begun(item: Json) -> Json:
    """An item as it begins."""
    blank: dict[str, Json] = {
        "reasoning": {"summary": []},
        "message": {"status": "in_progress", "content": []},
        "function_call": {"status": "in_progress", "arguments": ""},
    }
    return {**item, **blank[item["type"]]}


def _event(name: str, data: Json) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
