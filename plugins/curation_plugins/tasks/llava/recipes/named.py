"""Reads the named recipes in the YAML files beside this one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid

_HERE = Path(__file__).parent


class NamedRecipe(Frozen):
    """An entry of a file."""

    about: str
    """What it is, where its numbers are from, and what differs from there."""
    extends: str | None = None
    """Another recipe whose values it starts from."""
    values: dict[str, Any]
    """Keys of a recipe."""


@cache
def named_recipes() -> Mapping[str, NamedRecipe]:
    """All of them by name, file by file."""
    shape = TypeAdapter(dict[str, NamedRecipe])
    out: dict[str, NamedRecipe] = {}
    for path in sorted(_HERE.glob("*.yaml")):
        out.update(shape.validate_python(yaml.safe_load(path.read_text(encoding="utf-8"))))
    return out


def values_of(name: str) -> dict[str, Any]:
    """The keys of a named recipe, those it extends included.

    Raises:
        ConfigInvalid: there is none of that name.
    """
    known = named_recipes()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigInvalid(
            f"recipe.extends: no recipe is called {name!r}{meant}", hint=f"There are: {', '.join(known)}."
        )
    entry = known[name]
    base = values_of(entry.extends) if entry.extends else {}
    lora = {**base.get("lora", {}), **entry.values.get("lora", {})}
    return {**base, **entry.values, **({"lora": lora} if lora else {})}
