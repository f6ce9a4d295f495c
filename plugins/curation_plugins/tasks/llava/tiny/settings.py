"""The numbers from which the assets of `llava-tiny` are made: `assets` in its task.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava.recipe import Recipe


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseModelSettings(_Frozen):
    """The base model: a LLaVA built from the true classes, trained locally on questions of its own."""

    seed: int = 0
    """Seeds its initial weights and its training data."""
    vision_width: int = 96
    """Width of the vision tower."""
    vision_layers: int = 3
    """Layers of the vision tower."""
    patch: int = 16
    """Side of a patch in pixels; 16 gives an image four tokens."""
    width: int = 128
    """Width of the language model."""
    layers: int = 2
    """Layers of the language model."""
    heads: int = 2
    """Its attention heads; heads of 64 suit every inference engine."""
    vocabulary: int = 512
    """Tokens of the byte-level BPE."""
    tower_steps: int = 1000
    """Steps of the vision tower's own training."""
    images: int = 8000
    """Images for the language model's training, each asked about three times."""
    recipe: Recipe = Recipe(
        steps=2200,
        batch=64,
        lr=1.2e-3,
        warmup=0.05,
        beta2=0.98,
        max_tokens=64,
        length_grouped=True,
        eval_batch=256,
    )
    """How language model and projector are trained on them."""


class TinySettings(_Frozen):
    """Files that are made on this machine; everything they follow from."""

    kind: Literal["made"] = "made"
    """Told apart from `fetched` by this."""
    seed: int = 0
    """Seeds pool and benchmarks."""
    rows: int = Field(default=8000, ge=200)
    """Rows of the pool."""
    items: int = Field(default=240, ge=20)
    """Items of each benchmark in each half."""
    base: BaseModelSettings = BaseModelSettings()
    """The base model."""


def read_settings(values: Mapping[str, Any]) -> TinySettings:
    """Checks the `assets` mapping of a task.yaml.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    try:
        return TinySettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("assets", *first["loc"]))
        raise ConfigInvalid(f"{where}: {first['msg']}", hint="The keys are listed in docs/tasks.md.") from None
