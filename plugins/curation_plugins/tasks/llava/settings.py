"""`assets` of a task.yaml of this family: files that are made here, or fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava.sources.settings import FetchedSettings
from curation_plugins.tasks.llava.tiny.settings import TinySettings

AssetSettings = TinySettings | FetchedSettings


def _kind(values: Any) -> str:
    return str(values.get("kind", "made"))


_SHAPE: TypeAdapter[AssetSettings] = TypeAdapter(
    Annotated[Annotated[TinySettings, Tag("made")] | Annotated[FetchedSettings, Tag("fetched")], Discriminator(_kind)]
)


def read_assets(values: Mapping[str, Any], benchmarks: tuple[str, ...]) -> AssetSettings:
    """Checks the `assets` mapping of a task.yaml.

    Args:
        benchmarks: the task's; for fetched ones each needs a file.

    Raises:
        ConfigInvalid: naming the first wrong key, or a model, pool or benchmark file that is not known.
    """
    try:
        settings = _SHAPE.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("assets", *first["loc"][1:]))
        raise ConfigInvalid(f"{where}: {first['msg']}", hint="The keys are listed in docs/tasks.md.") from None
    if isinstance(settings, FetchedSettings):
        settings.wants(benchmarks)
    return settings
