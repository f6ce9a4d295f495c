"""OpenAI Chat Completions API (as of 2025), with open servers' ``reasoning_content`` and ``reasoning``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

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
    for message in rows(body.get("messages")):
        items += _items(message)
    functions = (row(tool.get("function")) for tool in rows(body.get("tools")))
    tools = frozenset(bounds.name(function.get("name")) for function in functions)
    return Asked(tuple(items), tools)


def _items(message: dict[str, object]) -> Iterator[Item]:
    role = word(message.get("role"))
    if role == "tool":
        yield answered(message.get("tool_call_id"), _text(message.get("content")))
        return
    text = _text(message.get("content"))
    if text:
        yield said(_ROLES.get(role, "user"), text)
    for call in rows(message.get("tool_calls")):
        function = row(call.get("function"))
        yield called(call.get("id"), function.get("name"), function.get("arguments"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(map(_part, rows(content)))


def _part(part: dict[str, object]) -> str:
    if "text" in part:
        return word(part["text"])
    kind = bounds.name(part.get("type")) or "part"
    return bounds.media(kind, row(part.get("image_url")).get("url"))


@dataclass
class _Growing:
    """A reply that is put together from pieces."""

    id: str = ""
    stop: str = ""
    error: str = ""
    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, _GrowingCall] = field(default_factory=dict)

    def take(self, message: dict[str, object]) -> None:
        self.texts.append(_text(message.get("content")))
        self.reasoning.append(word(message.get("reasoning_content")) or word(message.get("reasoning")))
        for place, call in enumerate(rows(message.get("tool_calls"))):
            index = call.get("index", place)
            self.calls.setdefault(index if isinstance(index, int) else place, _GrowingCall()).take(call)


@dataclass
class _GrowingCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def take(self, call: dict[str, object]) -> None:
        function = row(call.get("function"))
        self.id = self.id or bounds.name(call.get("id"))
        self.name = self.name or bounds.name(function.get("name"))
        self.arguments.append(word(function.get("arguments")))


def replied(documents: Iterable[dict[str, object]]) -> Reply:
    """From one completion, or from the chunks of a stream, cut off or whole."""
    growing = _Growing()
    for document in documents:
        growing.id = bounds.name(document.get("id")) or growing.id
        growing.error = word(row(document.get("error")).get("message")) or growing.error
        for choice in rows(document.get("choices"))[:1]:
            growing.take(row(choice.get("message") or choice.get("delta")))
            growing.stop = bounds.name(choice.get("finish_reason")) or growing.stop
    text = "".join(growing.texts)
    return Reply(
        id=growing.id,
        texts=(text,) if text else (),
        reasoning="".join(growing.reasoning),
        calls=tuple(
            Call(call.id, call.name, bounds.arguments("".join(call.arguments))) for call in growing.calls.values()
        ),
        stop=growing.stop,
        error=bounds.text(growing.error),
    )
