"""Anthropic Messages API (``anthropic-version: 2023-06-01``), read for the trajectory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from curation_harness.trajectory import bounds
from curation_harness.trajectory.dialogue import (
    Asked,
    Call,
    Item,
    Reply,
    Role,
    answered,
    called,
    row,
    rows,
    said,
    word,
)

_ROLES: dict[str, Role] = {"assistant": "agent", "system": "system"}
_BILLING = "x-anthropic-billing-header:"
"""Begins a block of Claude Code's system prompt that is another one in every request."""


def asked(body: dict[str, object]) -> Asked:
    items = list(_system(body.get("system")))
    for message in rows(body.get("messages")):
        items += _items(_ROLES.get(word(message.get("role")), "user"), message.get("content"))
    tools = frozenset(bounds.name(tool.get("name")) for tool in rows(body.get("tools")))
    return Asked(tuple(items), tools)


def _system(system: object) -> Iterator[Item]:
    blocks = [system] if isinstance(system, str) else [block.get("text") for block in rows(system)]
    texts = [text for text in map(word, blocks) if text and not text.startswith(_BILLING)]
    if texts:
        yield said("system", "\n\n".join(texts))


def _items(role: Role, content: object) -> Iterator[Item]:
    if isinstance(content, str):
        yield said(role, content)
        return
    for block in rows(content):
        kind = block.get("type")
        if kind == "text":
            yield said(role, block.get("text"))
        elif kind == "tool_use":
            yield called(block.get("id"), block.get("name"), block.get("input"))
        elif kind == "tool_result":
            error = "[error] " if block.get("is_error") is True else ""
            yield answered(block.get("tool_use_id"), error + _text(block.get("content")))
        elif kind in ("image", "document"):
            yield said(role, _media(block))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(word(part.get("text")) if part.get("type") == "text" else _media(part) for part in rows(content))


def _media(block: dict[str, object]) -> str:
    source = row(block.get("source"))
    kind = bounds.name(block.get("type")) or "block"
    return bounds.media(kind, source.get("data") or source.get("url"))


def replied(documents: Iterable[dict[str, object]]) -> Reply:
    """From one message, or from the events of a stream, cut off or whole."""
    head: dict[str, object] = {}
    blocks: dict[int, dict[str, object]] = {}
    deltas: dict[int, list[str]] = {}
    error = ""
    for event in documents:
        kind = event.get("type")
        if kind in ("message", "message_start"):
            head = event if kind == "message" else row(event.get("message"))
            blocks |= dict(enumerate(rows(head.get("content"))))
        elif kind in ("content_block_start", "content_block_delta"):
            index = event.get("index")
            if not isinstance(index, int):
                continue
            if kind == "content_block_start":
                blocks[index] = row(event.get("content_block"))
            else:
                deltas.setdefault(index, []).append(_delta(row(event.get("delta"))))
        elif kind == "message_delta":
            head = {**head, "stop_reason": row(event.get("delta")).get("stop_reason")}
        elif kind == "error":
            error = word(row(event.get("error")).get("message"))
    whole = [(block, "".join(deltas.get(index, ()))) for index, block in blocks.items()]
    return Reply(
        id=bounds.name(head.get("id")),
        texts=tuple(word(block.get("text")) + more for block, more in whole if block.get("type") == "text"),
        reasoning="\n\n".join(
            word(block.get("thinking")) + more for block, more in whole if block.get("type") == "thinking"
        ),
        calls=tuple(_call(block, more) for block, more in whole if block.get("type") == "tool_use"),
        stop=bounds.name(head.get("stop_reason")),
        error=bounds.text(error),
    )


def _delta(delta: dict[str, object]) -> str:
    return next((word(delta[name]) for name in ("text", "thinking", "partial_json") if name in delta), "")


def _call(block: dict[str, object], more: str) -> Call:
    given = more or block.get("input")
    return Call(bounds.name(block.get("id")), bounds.name(block.get("name")), bounds.arguments(given))
