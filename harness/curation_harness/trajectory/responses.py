"""OpenAI Responses API (as of 2025), read for the trajectory."""

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

_ROLES: dict[str, Role] = {"assistant": "agent", "developer": "system", "system": "system"}


def asked(body: dict[str, object]) -> Asked:
    items: list[Item] = []
    if word(body.get("instructions")):
        items.append(said("system", body["instructions"]))
    given = body.get("input")
    if isinstance(given, str):
        items.append(said("user", given))
    for item in rows(given):
        items += _items(item)
    tools = frozenset(bounds.name(tool.get("name") or tool.get("type")) for tool in rows(body.get("tools")))
    thread = row(body.get("client_metadata")).get("thread_id")  # Codex's; its sub-agents have their own
    return Asked(tuple(items), tools, key=bounds.name(thread))


def _items(item: dict[str, object]) -> Iterator[Item]:
    kind = word(item.get("type")) or "message"
    if kind.endswith("_output"):
        yield answered(item.get("call_id"), _text(item.get("output")))
    elif kind.endswith("_call"):
        call = _call(item)
        yield called(call.id, call.name, call.arguments)
    elif kind == "message":
        role = _ROLES.get(word(item.get("role")), "user")
        content = item.get("content")
        yield from (
            said(role, each) for each in ([content] if isinstance(content, str) else map(_part, rows(content)))
        )


def _text(content: object) -> str:
    return content if isinstance(content, str) else "\n".join(map(_part, rows(content)))


def _part(part: dict[str, object]) -> str:
    if "text" in part or "refusal" in part:
        return word(part.get("text")) or word(part.get("refusal"))
    return bounds.media(bounds.name(part.get("type")) or "part", part.get("image_url") or part.get("file_data"))


def _call(item: dict[str, object]) -> Call:
    """``function_call``, ``custom_tool_call``, ``local_shell_call`` and their like."""
    kind = word(item.get("type"))
    given = next((item[name] for name in ("arguments", "action") if name in item), None)
    arguments = bounds.arguments(given)
    if "input" in item:
        arguments = {"input": bounds.text(item["input"])}
    return Call(bounds.name(item.get("call_id") or item.get("id")), bounds.name(item.get("name") or kind), arguments)


def replied(documents: Iterable[dict[str, object]]) -> Reply:
    """From one response, or from the events of a stream, cut off or whole."""
    head: dict[str, object] = {}
    items: dict[int, dict[str, object]] = {}
    deltas: dict[int, list[str]] = {}
    for event in documents:
        kind, index = word(event.get("type")), event.get("output_index")
        if "response" in event or event.get("object") == "response":
            head = row(event.get("response", event))
        elif kind == "error":
            head = {**head, "error": event}
        elif not isinstance(index, int):
            continue
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = row(event.get("item"))
            if kind.endswith("done"):
                deltas.pop(index, None)
        elif kind in ("response.output_text.delta", "response.reasoning_summary_text.delta"):
            deltas.setdefault(index, []).append(word(event.get("delta")))
    found = [(items[index], "".join(deltas.get(index, ()))) for index in sorted(items)]
    whole = found or [(item, "") for item in rows(head.get("output"))]
    return Reply(
        id=bounds.name(head.get("id")),
        texts=tuple(_text(item.get("content")) or more for item, more in whole if item.get("type") == "message"),
        reasoning="\n\n".join(filter(None, (_reasoning(item, more) for item, more in whole))),
        calls=tuple(_call(item) for item, _ in whole if word(item.get("type")).endswith("_call")),
        stop=bounds.name(row(head.get("incomplete_details")).get("reason") or head.get("status")),
        error=bounds.text(row(head.get("error")).get("message")),
    )


def _texts(item: dict[str, object], more: str) -> list[str]:
    return [text for text in map(_part, rows(item.get("content"))) if text] or [more]


def _reasoning(item: dict[str, object], more: str) -> str:
    if item.get("type") != "reasoning":
        return ""
    return _text(item.get("summary")) or _text(item.get("content")) or more
