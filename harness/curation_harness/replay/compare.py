"""Compares a replayed request with the recorded one, and says in what kind of place they differ first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, Final, Literal, NamedTuple

from curation_harness.replay import normalise

Kind = Literal[
    "identical",
    "equal",
    "carried",
    "order",
    "prompt",
    "text",
    "tool-call",
    "tool-result",
    "tools",
    "settings",
    "length",
    "extra",
]

KINDS: Final[dict[Kind, str]] = {
    "identical": "nothing, byte for byte",
    "equal": "nothing, after the rules below",
    "carried": "nothing but what an earlier request of the conversation showed already",
    "order": "nothing, but another request of the conversation came before it then",
    "prompt": "system prompt or instructions",
    "text": "what was said",
    "tool-call": "what the program made of a recorded tool call",
    "tool-result": "what a command printed",
    "tools": "definitions of tools",
    "settings": "other fields of the request",
    "length": "one of the two has more messages",
    "extra": "the record has no such request",
}
"""Where two requests differ first."""

Path = tuple[str | int, ...]
"""Keys and indexes down to a place in a body."""

NOT_SHOWN: Final = frozenset[Kind](("identical", "equal", "carried", "order"))
"""Kinds without a place to show."""

_SHOWN: Final = 200
_MOST: Final = 1000
"""Differences of one request that are looked at; the bodies come from the container."""
_MOST_KNOWN: Final = 100_000


class Difference(NamedTuple):
    """The first place in which two requests differ."""

    kind: Kind
    where: str = ""
    """Path in the body, e.g. ``messages[4].content[0].content``."""
    before: str = ""
    after: str = ""


def compare(before: bytes, after: bytes, known: set[Difference]) -> Difference:
    """Of two request bodies, recorded and replayed. ``known`` holds the differences that earlier requests showed,
    which every later one of the conversation carries on; this request's are added."""
    if before == after:
        return Difference("identical")
    try:
        first, second = normalise.parsed(before), normalise.parsed(after)
    except ValueError:
        return Difference("settings", "", _shown(before), _shown(after))
    differing = islice(_differences((), first, second), _MOST)
    found = [_difference(path, first, one, other) for path, one, other in differing]
    news = [difference for difference in found if difference not in known]
    if len(known) < _MOST_KNOWN:
        known.update(found)
    return news[0] if news else Difference("carried") if found else Difference("equal")


def _difference(path: Path, body: Any, one: Any, other: Any) -> Difference:
    if isinstance(one, str) and isinstance(other, str):
        one, other = _first_lines(one, other)
    return Difference(_kind(path, body), _written(path), _shown(one), _shown(other))


def _differences(path: Path, one: Any, other: Any) -> Iterator[tuple[Path, Any, Any]]:
    """Differing leaves, in the order of the recorded request; a list's length comes after its common elements."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            if key in one and key in other:
                yield from _differences((*path, key), one[key], other[key])
            else:
                yield (*path, key), one.get(key), other.get(key)
    elif isinstance(one, list) and isinstance(other, list):
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from _differences((*path, index), left, right)
        if len(one) != len(other):
            yield (*path, min(len(one), len(other))), f"{len(one)} elements", f"{len(other)} elements"
    elif one != other or type(one) is not type(other):
        yield path, one, other


def _kind(path: Path, body: Any) -> Kind:
    top = path[0] if path else ""
    if top in ("system", "instructions"):
        return "prompt"
    if top == "tools":
        return "tools"
    if top not in ("messages", "input"):
        return "settings"
    if len(path) == 2:
        return "length"
    return _part_kind(path, body)


def _part_kind(path: Sequence[str | int], body: Any) -> Kind:
    """By the innermost message or block on the way that says what it is."""
    kind: Kind = "text"
    here = body
    for step in path:
        if isinstance(here, dict):
            said = {str(here.get("type")), str(here.get("role"))}
            if {"tool_result", "function_call_output", "custom_tool_call_output", "tool"} & said:
                kind = "tool-result"
            elif {"tool_use", "function_call", "custom_tool_call"} & said or step == "tool_calls":
                kind = "tool-call"
            elif {"system", "developer"} & said and kind == "text":
                kind = "prompt"
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            break
    return kind


def _written(path: Path) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _first_lines(one: str, other: str) -> tuple[str, str]:
    """The first line in which two texts differ."""
    pairs = zip_longest(one.splitlines(), other.splitlines(), fillvalue="")
    return next(((left, right) for left, right in pairs if left != right), (one, other))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else value.decode("utf-8", "replace") if isinstance(value, bytes) else None
    written = text if text is not None else json.dumps(value, ensure_ascii=False, default=str)
    return written if len(written) <= _SHOWN else f"{written[:_SHOWN]}…"
