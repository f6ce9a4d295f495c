"""Tokens of a reply, from the provider's own figures, read from the bytes as they pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from curation_sandbox.gateway.exchange import Usage
from curation_sandbox.gateway.sse import EventReader
from curation_sandbox.gateway.wires import Wire

MOST_JSON_BYTES: Final = 64 * 2**20
"""Of a reply that is not a stream; a larger one has no readable usage."""
_MOST_COUNT: Final = 2**53
_LONGEST_ID: Final = 256

_RESPONSE_ENDS: Final = frozenset(("response.completed", "response.failed", "response.incomplete"))
_REQUESTS_FAULTS: Final = frozenset(
    (
        "context_length_exceeded",
        "invalid_prompt",
        "invalid_request_error",
        "content_filter",
        "content_policy_violation",
        "cyber_policy",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "image_too_large",
        "image_too_small",
    )
)
"""Codes and types of errors within a reply that say something about the request (OpenAI's API reference, *response
object*, ``error.code``; November 2026). All others are the provider's own."""


class UsageReader:
    """Reads one reply. Never raises, whatever the bytes are; figures that make no sense count as zero.

    Providers repeat their figures, growing, within a stream (Messages: ``message_start``, then ``message_delta``);
    of each the largest counts.
    """

    def __init__(self, wire: Wire, stream: bool) -> None:
        """``stream``: the reply is ``text/event-stream``, not JSON."""
        self._wire = wire
        self._events = EventReader() if stream else None
        self._whole = bytearray()
        self._too_large = False
        self._found: dict[str, int] | None = None
        self._finished = False
        self._read_upto = 0
        self._reply_id: str | None = None
        self._events_read = 0
        self._failure: str | None = None

    def feed(self, data: bytes) -> None:
        """The next bytes of the reply's body, decoded."""
        if self._events is not None:
            for event in self._events.feed(data):
                self._take_event(event)
        elif not self._too_large:
            if len(self._whole) + len(data) > MOST_JSON_BYTES:
                self._too_large = True
                self._whole.clear()
            self._whole += data if not self._too_large else b""

    def usage(self) -> Usage | None:
        """What has been told so far; None: nothing."""
        self._read_whole()
        if self._found is None:
            return None
        found = self._found
        return Usage(
            input=found["input"],
            output=found["output"],
            cache_read=found["cache_read"],
            cache_write=found["cache_write"],
            reasoning=found["reasoning"],
        )

    @property
    def finished(self) -> bool:
        """Whether the reply came to its proper end: the wire's last event, or JSON that is whole. A stream that
        ends in an ``error`` event did not."""
        self._read_whole()
        return self._finished

    @property
    def failure(self) -> str | None:
        """The error of the provider's own that the reply holds, though its status was 200; None: it holds none."""
        self._read_whole()
        return self._failure

    @property
    def tokens_seen(self) -> int:
        """About how many tokens have been generated so far: servers send one event a token or more, and a token has
        four bytes on average (OpenAI's rule of thumb for English)."""
        return self._events_read if self._events is not None else len(self._whole) // 4

    @property
    def reply_id(self) -> str | None:
        """The provider's name for the reply."""
        self._read_whole()
        return self._reply_id

    def _read_whole(self) -> None:
        """Parse a plain JSON reply, once for what has come so far."""
        if self._events is not None or len(self._whole) == self._read_upto:
            return
        self._read_upto = len(self._whole)
        reply = _object(self._whole)
        if reply is not None:
            self._finished = True
            self._take_id(reply)
            self._take_usage(reply.get("usage"))
            self._take_error(reply)

    def _take_event(self, data: bytes) -> None:
        if data.strip() == b"[DONE]":
            self._finished = self._finished or self._wire is Wire.CHAT
            return
        event = _object(data)
        self._events_read += 1
        if event is not None:
            self._take_error(event)
            _TAKERS[self._wire](self, event)

    def _take_message_event(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if kind == "message_start":
            message = _mapping(event.get("message"))
            self._take_id(message)
            self._take_usage(message.get("usage"))
        elif kind == "message_delta":
            self._take_usage(event.get("usage"))
        elif kind == "message_stop":
            self._finished = True

    def _take_response_event(self, event: Mapping[str, Any]) -> None:
        response = _mapping(event.get("response"))
        self._take_id(response)
        self._take_usage(response.get("usage"))
        kind = event.get("type")
        if isinstance(kind, str) and kind in _RESPONSE_ENDS:
            self._finished = True

    def _take_chat_event(self, event: Mapping[str, Any]) -> None:
        self._take_id(event)
        self._take_usage(event.get("usage"))
        choices = event.get("choices")
        if isinstance(choices, list) and any(_mapping(each).get("finish_reason") for each in choices):
            self._finished = True

    def _take_error(self, tree: Mapping[str, Any]) -> None:
        """``{"error": {…}}`` anywhere a provider puts one: a whole reply, an event, a Responses API's response."""
        error = tree.get("error") or _mapping(tree.get("response")).get("error")
        if not error and tree.get("type") != "error":
            return
        told = [_mapping(each).get(name) for each in (error, tree) for name in ("code", "type")]
        words = [word for word in told if isinstance(word, str) and word != "error"]
        if not any(word in _REQUESTS_FAULTS for word in words):
            self._failure = (words[0] if words else "no code")[:_LONGEST_ID]

    def _take_id(self, reply: Mapping[str, Any]) -> None:
        name = reply.get("id")
        if self._reply_id is None and isinstance(name, str):
            self._reply_id = name[:_LONGEST_ID]

    def _take_usage(self, figures: object) -> None:
        if not isinstance(figures, dict):
            return
        told = _COUNTERS[self._wire](figures)
        before = self._found or {}
        self._found = {name: max(count, before.get(name, 0)) for name, count in told.items()}


_TAKERS: Final = {
    Wire.MESSAGES: UsageReader._take_message_event,
    Wire.RESPONSES: UsageReader._take_response_event,
    Wire.CHAT: UsageReader._take_chat_event,
}


def _of_messages(figures: Mapping[str, Any]) -> dict[str, int]:
    """``input_tokens`` leaves the cache out; ``iterations`` may hold more than the sums beside it (a request
    that was sampled several times is paid for several times)."""
    whole = _of_one_message(figures)
    iterations = figures.get("iterations")
    if isinstance(iterations, list):
        parts = [_of_one_message(_mapping(each)) for each in iterations[:1000]]
        whole = {name: max(count, sum(part[name] for part in parts)) for name, count in whole.items()}
    return whole


def _of_one_message(figures: Mapping[str, Any]) -> dict[str, int]:
    read = _count(figures.get("cache_read_input_tokens"))
    write = _count(figures.get("cache_creation_input_tokens"))
    return {
        "input": _count(figures.get("input_tokens")) + read + write,
        "output": _count(figures.get("output_tokens")),
        "cache_read": read,
        "cache_write": write,
        "reasoning": _count(_mapping(figures.get("output_tokens_details")).get("thinking_tokens")),
    }


def _of_responses(figures: Mapping[str, Any]) -> dict[str, int]:
    into = _mapping(figures.get("input_tokens_details"))
    out_of = _mapping(figures.get("output_tokens_details"))
    return {
        "input": _count(figures.get("input_tokens")),
        "output": _count(figures.get("output_tokens")),
        "cache_read": _count(into.get("cached_tokens")),
        "cache_write": _count(into.get("cache_write_tokens")),
        "reasoning": _count(out_of.get("reasoning_tokens")),
    }


def _of_chat(figures: Mapping[str, Any]) -> dict[str, int]:
    """OpenAI's names, and those of DeepSeek (``prompt_cache_hit_tokens``) and Moonshot (``cached_tokens``)."""
    into = _mapping(figures.get("prompt_tokens_details"))
    out_of = _mapping(figures.get("completion_tokens_details"))
    cached = (into.get("cached_tokens"), figures.get("prompt_cache_hit_tokens"), figures.get("cached_tokens"))
    return {
        "input": _count(figures.get("prompt_tokens")),
        "output": _count(figures.get("completion_tokens")),
        "cache_read": max(_count(each) for each in cached),
        "cache_write": _count(into.get("cache_write_tokens")),
        "reasoning": _count(out_of.get("reasoning_tokens")),
    }


_COUNTERS: Final = {Wire.MESSAGES: _of_messages, Wire.RESPONSES: _of_responses, Wire.CHAT: _of_chat}


def _object(data: bytes | bytearray) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    """A number of tokens; anything else is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_COUNT:
        return 0
    return int(value)
