"""Recipes by name: YAML files of a family, each an entry a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid

RecipeT = TypeVar("RecipeT", bound=BaseModel)


class NamedRecipe(Frozen):
    """An entry of a file."""

    about: str
    """What it is, where its numbers are from, and what differs from there."""
    extends: str | None = None
    """Another recipe whose values it starts from."""
    values: dict[str, Any]
    """Keys of a recipe."""


@cache
def named_recipes(folder: Path) -> Mapping[str, NamedRecipe]:
    """All of a folder's by name, file by file."""
    shape = TypeAdapter(dict[str, NamedRecipe])
    out: dict[str, NamedRecipe] = {}
    for path in sorted(folder.glob("*.yaml")):
        out.update(shape.validate_python(yaml.safe_load(path.read_text(encoding="utf-8"))))
    return out


def values_of(folder: Path, name: str) -> dict[str, Any]:
    """The keys of a named recipe, those it extends included.

    Raises:
        ConfigInvalid: there is none of that name.
    """
    known = named_recipes(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigInvalid(
            f"recipe.extends: no recipe is called {name!r}{meant}", hint=f"There are: {', '.join(known)}."
        )
    entry = known[name]
    return merged(values_of(folder, entry.extends) if entry.extends else {}, entry.values)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`; a mapping on a mapping key by key."""
    out = {**base, **over}
    for key, value in over.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            out[key] = {**below, **value}
    return out


def read_named(
    model: type[RecipeT],
    folder: Path,
    values: Mapping[str, Any],
    adjust: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] = lambda base, given: given,
) -> RecipeT:
    """Checks a recipe from a task's YAML; `extends: NAME` starts from a named one, and every other key overrides.

    Args:
        adjust: (the named recipe's values, the overriding ones) → the overriding ones to use.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    given = dict(values)
    wanted = given.pop("extends", None)
    if wanted is not None:
        if given.get("name", wanted) != wanted:
            raise ConfigInvalid(
                f"recipe.extends: these values were resolved from {given['name']!r} already and cannot be put on"
                f" top of {wanted!r}",
                hint="Start from the task's own file, not from a resolved one.",
            )
        base = values_of(folder, wanted)
        given = {**merged(base, adjust(base, given)), "name": wanted}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("recipe", *first["loc"]))
        raise ConfigInvalid(
            f"{where}: {first['msg']}", hint="The keys of a recipe are listed in docs/tasks.md."
        ) from None
