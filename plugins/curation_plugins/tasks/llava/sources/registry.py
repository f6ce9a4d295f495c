"""The models, pools and benchmark files there are, read from the YAML files beside this one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import Field, TypeAdapter

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid
from curation_plugins.hub.wanted import HubSource, Source, UrlSource

_HERE = Path(__file__).parent
EntryT = TypeVar("EntryT")


class ModelEntry(Frozen):
    """A base model."""

    family: Literal["llava-1.5", "qwen2-vl", "qwen2.5-vl", "smolvlm"]
    """Whose code encodes rows for it."""
    repo: str
    """`owner/name` on the hub."""
    revision: str = "main"
    """Commit, or a branch that is looked up at the first fetch."""
    files: tuple[str, ...] = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
    """Which of the repository's files are wanted; other formats of the weights are not."""
    bytes: int = Field(gt=0)
    """About what these take."""
    parameters: int = Field(gt=0)
    """All parameters."""
    tower: int = Field(ge=0)
    """Those of the vision tower."""
    layers: int = Field(gt=0)
    """Layers of the language model."""
    width: int = Field(gt=0)
    """Its width."""
    image_tokens: int | None = None
    """Tokens of an image, for estimates: all have as many, or a usual one has; none: as LLaVA-1.5's."""

    def source(self) -> HubSource:
        return HubSource(repo=self.repo, revision=self.revision, files=self.files, bytes=self.bytes)


class ImageFolder(Frozen):
    """Images whose paths begin alike."""

    source: Source
    """An archive."""
    inside: tuple[str, ...] = (".",)
    """Folders of the archive that may hold them; the first that has a row's image counts."""


class PoolEntry(Frozen):
    """A pool in LLaVA's format: a JSON list of records, and folders of images."""

    title: str
    """Its name, for a reader."""
    rows: int | None = Field(default=None, gt=0)
    """How many records it must have; none: not known beforehand."""
    annotations: Source
    """The JSON file."""
    source_field: str | None = None
    """Field of a record that names its source; none: the first folder of its image's path, `text` without image."""
    images: dict[str, ImageFolder]
    """How a record's image path begins → where such images are."""


@cache
def models() -> Mapping[str, ModelEntry]:
    """Base models by name."""
    return _read("models.yaml", TypeAdapter(dict[str, ModelEntry]))


@cache
def pools() -> Mapping[str, PoolEntry]:
    """Pools by name."""
    return _read("pools.yaml", TypeAdapter(dict[str, PoolEntry]))


@cache
def benchmark_files() -> Mapping[str, UrlSource]:
    """Benchmark files by the benchmark's name."""
    return _read("benchmarks.yaml", TypeAdapter(dict[str, UrlSource]))


def look_up(kind: str, name: str, known: Mapping[str, EntryT]) -> EntryT:
    """The entry of that name.

    Raises:
        ConfigInvalid: with the nearest there is.
    """
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigInvalid(f"no {kind} is called {name!r}{meant}", hint=f"There are: {', '.join(known)}.")


def _read(name: str, shape: TypeAdapter[dict[str, EntryT]]) -> Mapping[str, EntryT]:
    return shape.validate_python(yaml.safe_load((_HERE / name).read_text(encoding="utf-8")))
