"""How a body is read: rules that rebuild it from what is allowed, field by field.

A rule takes a value and the ``Spot`` it stands at, and returns what may be sent instead: the value itself, a
rebuilt one, or ``DROP``. What is not allowed is either dropped, which the spot notes, or refused. Nothing of the
client's body reaches the provider that no rule has named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

DROP: Final[Any] = object()
"""What a rule returns for "leave this out"."""

MOST_DEPTH: Final = 100
"""Nesting of a body; tool schemas of real agents reach about 15."""
MOST_PARTS: Final = 300_000
"""Values of a body, inner ones included; a long conversation of a real agent has some tens of thousands."""
_MOST_NOTES: Final = 100
_SHOWN: Final = 60
_LONGEST_PATH: Final = 300


class Refused(Exception):
    """The request may not be sent; the message is a sentence for the agent that names the field."""


@dataclass
class Notes:
    """What was taken out or set, one line each; bounded."""

    lines: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, spot: Spot, what: str) -> None:
        if len(self.lines) < _MOST_NOTES:
            self.lines.append(f"{spot.path}: {what}")
        else:
            self.more += 1

    def all(self) -> tuple[str, ...]:
        return (*self.lines, f"and {self.more} more changes") if self.more else tuple(self.lines)


class Spot:
    """A place in the body. Its path is spelled out only when something is to be said about it."""

    __slots__ = ("_step", "_up", "notes")

    def __init__(self, notes: Notes, up: Spot | None = None, step: str | int = "") -> None:
        self.notes = notes
        self._up = up
        self._step = step

    def at(self, step: str | int) -> Spot:
        return Spot(self.notes, self, step)

    @property
    def path(self) -> str:
        steps: list[str | int] = []
        spot: Spot = self
        while spot._up is not None:
            steps.append(spot._step)
            spot = spot._up
        text = ""
        for step in reversed(steps):
            text += f"[{step}]" if isinstance(step, int) else f".{shown(step)}" if text else shown(step)
        return text[-_LONGEST_PATH:] or "the body"

    def note(self, what: str) -> None:
        self.notes.add(self, what)

    def refuse(self, why: str) -> NoReturn:
        raise Refused(f"{self.path}: {why}")


Rule = Callable[[Any, Spot], Any]


def shown(value: object) -> str:
    """A client's value in a message: printable ASCII, short."""
    text = value if isinstance(value, str) else f"a value of type {type(value).__name__}"
    text = "".join(c if " " <= c <= "~" else "?" for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def anything(value: Any, spot: Spot) -> Any:
    """Data for the model that no provider acts upon, such as the arguments of a past tool call."""
    return value


def string(value: Any, spot: Spot) -> Any:
    if not isinstance(value, str):
        spot.refuse("must be a string")
    return value


def text(value: Any, spot: Spot) -> Any:
    """A string or null."""
    return None if value is None else string(value, spot)


def flag(value: Any, spot: Spot) -> Any:
    if value is not None and not isinstance(value, bool):
        spot.refuse("must be true or false")
    return value


def number(value: Any, spot: Spot) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        spot.refuse("must be a number")
    return value


def scalar(value: Any, spot: Spot) -> Any:
    if value is not None and not isinstance(value, str | int | float):
        spot.refuse("must be a string, a number, true or false")
    return value


def strip(why: str = "removed") -> Rule:
    """A field that never passes."""

    def rule(value: Any, spot: Spot) -> Any:
        spot.note(why)
        return DROP

    return rule


def unless_null(value: Any, spot: Spot) -> Any:
    """Only null passes."""
    return None if value is None else strip()(value, spot)


def forbid(why: str) -> Rule:
    """A field that only a client means which needs what is shut: anything but null is refused."""

    def rule(value: Any, spot: Spot) -> Any:
        if value is not None and value is not False:
            spot.refuse(why)
        spot.note("removed")
        return DROP

    return rule


def only(*allowed: Any) -> Rule:
    """One of these values; others are dropped."""

    def rule(value: Any, spot: Spot) -> Any:
        if any(type(value) is type(each) and value == each for each in allowed):
            return value
        spot.note(f"{shown(value)} removed")
        return DROP

    return rule


def listed(rule: Rule) -> Rule:
    """A list, each entry by ``rule``; dropped entries close up."""

    def whole(value: Any, spot: Spot) -> Any:
        if not isinstance(value, list):
            spot.refuse("must be a list")
        return [kept for n, each in enumerate(value) if (kept := rule(each, spot.at(n))) is not DROP]

    return whole


def fields(rules: Mapping[str, Rule], *, need: tuple[str, ...] = ()) -> Rule:
    """An object with these fields; unknown ones are dropped."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            spot.refuse("must be an object")
        rebuilt = {}
        for name, each in value.items():
            known = rules.get(name)
            if known is None:
                spot.at(name).note("unknown field, removed")
            elif (kept := known(each, spot.at(name))) is not DROP:
                rebuilt[name] = kept
        for name in need:  # last: what was refused above says more
            if name not in value:
                spot.refuse(f"has no {name}")
        return rebuilt

    return rule


def maybe(rule: Rule) -> Rule:
    """Null, or by ``rule``."""
    return lambda value, spot: None if value is None else rule(value, spot)


def text_or(rule: Rule) -> Rule:
    """A string, or by ``rule``."""
    return lambda value, spot: value if isinstance(value, str) else rule(value, spot)


def by_type(kinds: Mapping[str, Rule], *, shut: Mapping[str, str], otherwise: str) -> Rule:
    """An object whose ``type`` chooses the rule.

    Args:
        shut: type → why it is refused, for those where more can be said than ``otherwise``.
        otherwise: why every other type, spelling or shape of one is refused.
    """

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            spot.refuse("must be an object")
        kind = value.get("type")
        if not isinstance(kind, str):
            spot.refuse("has no type, or one that is not a string")
        known = kinds.get(kind)
        if known is None:
            spot.refuse(f"{shown(kind)}: {shut.get(kind, otherwise)}")
        return known(value, spot)

    return rule


def check_size(body: Any) -> None:
    """Refuse what is nested so deeply that some reader along the way could fail on it, or has so many parts that
    reading it would take seconds."""
    level = [body]
    parts = 0
    for _ in range(MOST_DEPTH):
        deeper: list[Any] = []
        for each in level:
            parts += len(each)
            if parts > MOST_PARTS:
                raise Refused(f"the body: more than {MOST_PARTS} values in it")
            children = each.values() if isinstance(each, dict) else each
            deeper.extend(child for child in children if isinstance(child, dict | list))
        if not deeper:
            return
        level = deeper
    raise Refused(f"the body: nested more than {MOST_DEPTH} levels deep")
