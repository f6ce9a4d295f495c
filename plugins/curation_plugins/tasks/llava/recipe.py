"""The training recipe: everything about training that an agent cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curation_plugins.errors import ConfigInvalid


class Lora(BaseModel):
    """Low-rank adapters on the language model; the projector and the output layer are trained in full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, gt=0)
    """Rank of each adapter."""
    alpha: float = Field(default=32.0, gt=0)
    """Adapters are scaled by alpha/rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before each adapter."""


class Recipe(BaseModel):
    """One fixed way to train; the vision tower is always frozen, as in LLaVA 1.5."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tuning: Literal["full", "lora"] = "full"
    """Train language model and projector in full, or adapters."""
    lora: Lora = Lora()
    """Adapter settings, used when `tuning` is `lora`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the selection; exactly one of `epochs` and `steps` is set."""
    steps: int | None = Field(default=None, gt=0)
    """Optimiser steps, whatever the selection's size."""
    batch: int = Field(gt=0)
    """Rows a step."""
    lr: float = Field(gt=0)
    """Peak learning rate."""
    projector_lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the projector where it differs."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0; then a cosine to 0."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled weight decay."""
    beta2: float = Field(default=0.999, gt=0, lt=1)
    """AdamW's second-moment decay."""
    clip: float = Field(default=1.0, gt=0)
    """Largest global gradient norm."""
    average_last: float = Field(default=0.0, ge=0, lt=1)
    """The saved weights are the mean of the weights over this last share of the steps; 0 saves the last."""
    max_tokens: int = Field(default=2048, gt=0)
    """A row is cut here, image tokens included."""
    length_grouped: bool = True
    """Batch rows of similar length together, as LLaVA does."""
    threads: int = Field(default=1, gt=0)
    """CPU threads of torch; part of the recipe because results depend on it in the last bits."""
    max_new_tokens: int = Field(default=128, gt=0)
    """Longest answer when scoring."""
    eval_batch: int = Field(default=64, gt=0)
    """Rows a forward pass when scoring and computing signals."""

    @model_validator(mode="after")
    def _one_length(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("set exactly one of epochs and steps")
        return self

    def total_steps(self, rows: int) -> int:
        """Optimiser steps for a selection of this many rows; at least one."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * rows / self.batch))


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Checks a recipe from a task's YAML.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("recipe", *first["loc"]))
        raise ConfigInvalid(
            f"{where}: {first['msg']}", hint="The keys of a recipe are listed in docs/tasks.md."
        ) from None
