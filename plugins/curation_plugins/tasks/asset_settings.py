"""Checks `assets` of a task.yaml, whose `kind` says whether a task's files are made here or fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from curation_plugins.errors import ConfigInvalid

SettingsT = TypeVar("SettingsT", bound=BaseModel)


def kind(values: Any) -> str:
    """For a pydantic discriminator: files are made here where nothing is said."""
    return str(values.get("kind", "made"))


def check_assets(shape: TypeAdapter[SettingsT], values: Mapping[str, Any]) -> SettingsT:
    """
    Args:
        shape: tells the family's settings apart by ``kind``.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    try:
        return shape.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("assets", *first["loc"][1:]))
        raise ConfigInvalid(f"{where}: {first['msg']}", hint="The keys are listed in docs/tasks.md.") from None
