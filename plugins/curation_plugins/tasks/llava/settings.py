"""`assets` of a task.yaml of this family: files that are made here, or fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from curation_plugins.tasks.asset_settings import check_assets, kind
from curation_plugins.tasks.llava.sources.settings import FetchedSettings
from curation_plugins.tasks.llava.tiny.settings import TinySettings

AssetSettings = TinySettings | FetchedSettings


_SHAPE: TypeAdapter[AssetSettings] = TypeAdapter(
    Annotated[Annotated[TinySettings, Tag("made")] | Annotated[FetchedSettings, Tag("fetched")], Discriminator(kind)]
)


def read_assets(values: Mapping[str, Any], benchmarks: tuple[str, ...]) -> AssetSettings:
    """Checks the `assets` mapping of a task.yaml.

    Args:
        benchmarks: the task's; for fetched ones each needs a file.

    Raises:
        ConfigInvalid: naming the first wrong key, or a model, pool or benchmark file that is not known.
    """
    settings = check_assets(_SHAPE, values)
    if isinstance(settings, FetchedSettings):
        settings.wants(benchmarks)
    return settings
