"""JSON schemas inside a request (tool parameters, output formats): no address that a validator would load.

Some validators follow a remote ``$ref`` over HTTP (``RefResolver`` of Python's jsonschema does), and a nested
``$id`` makes even ``#/…`` remote. Local references and the standard dialects pass.
"""

from __future__ import annotations

import re
from typing import Any, Final

from curation_sandbox.gateway.filters.shape import Spot

_REFERENCES: Final = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
_BASES: Final = frozenset(("$id", "id", "$schema"))
_ADDRESS: Final = re.compile(r"\s*([a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_DIALECT: Final = re.compile(r"https?://json-schema\.org/[\w./#-]*", re.ASCII)
_WHY: Final = "a schema may refer only to itself (#...): a provider could load another address"


def schema(value: Any, spot: Spot) -> Any:
    """The schema as it is; refuses one that points elsewhere. Not recursive: nesting costs no stack."""
    if not isinstance(value, dict | list | bool | None):
        spot.refuse("must be a JSON schema")
    waiting: list[tuple[Any, Spot]] = [(value, spot)]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, list):
            waiting.extend((each, where.at(n)) for n, each in enumerate(node) if isinstance(each, dict | list))
        elif isinstance(node, dict):
            for name, each in node.items():
                if isinstance(each, dict | list):
                    waiting.append((each, where.at(name)))
                elif isinstance(each, str) and _points_away(name, each):
                    where.at(name).refuse(_WHY)
    return value


def _points_away(name: str, value: str) -> bool:
    if name in _REFERENCES:
        return not value.startswith("#")
    if name in _BASES:
        if not value.isprintable():  # readers of addresses drop control characters, wherever they stand
            return True
        return _ADDRESS.match(value) is not None and _DIALECT.fullmatch(value) is None
    return False
