"""What a request and a reply say, whatever their wire format."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

from curation_harness.trajectory import bounds

MAX_ROWS: Final = 50_000
"""Entries of one list that are read."""

Role = Literal["system", "user", "agent", "call", "result"]


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict[str, JsonValue]


@dataclass(frozen=True)
class Item:
    """One piece of a conversation as a request repeats it: one text, one tool call, or one result."""

    role: Role
    text: str = ""
    call: Call | None = None
    """Of role ``call``."""
    call_id: str = ""
    """Of role ``result``: whose result it is."""
    mark: str = field(default="")
    """Equal for the same piece in a later request."""


@dataclass(frozen=True)
class Asked:
    """A request."""

    items: tuple[Item, ...]
    tools: frozenset[str]
    """Names of the tools that the agent's program offers."""
    key: str = ""
    """The program's own name of the conversation, if it gives one."""


@dataclass(frozen=True)
class Reply:
    id: str = ""
    texts: tuple[str, ...] = ()
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = ""
    error: str = ""


def said(role: Role, text: object) -> Item:
    """A text. Programs trim their own history, so white space at its ends does not count for its mark."""
    whole = text if isinstance(text, str) else ""
    digest = hashlib.sha256(whole.strip().encode("utf-8", "replace")).hexdigest()
    return Item(role, bounds.text(whole), mark=f"{role} {digest}")


def called(call_id: object, name: object, arguments: object) -> Item:
    call = Call(bounds.name(call_id), bounds.name(name), bounds.arguments(arguments))
    return Item("call", call=call, mark=f"call {call.id}")


def answered(call_id: object, text: str) -> Item:
    kept = bounds.name(call_id)
    return Item("result", bounds.text(text), call_id=kept, mark=f"result {kept}")


def rows(value: object) -> list[dict[str, object]]:
    """The objects in a list, as far as they are read; anything else is no list of objects."""
    return [each for each in value[:MAX_ROWS] if isinstance(each, dict)] if isinstance(value, list) else []


def row(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def word(value: object) -> str:
    return value if isinstance(value, str) else ""
