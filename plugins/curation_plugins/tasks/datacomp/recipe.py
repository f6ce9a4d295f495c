"""The training recipe: everything about training that an agent cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation_plugins.tasks.datacomp.recipes import FOLDER
from curation_plugins.tasks.named_recipes import read_named

Scale = tuple[float, float]


class Recipe(BaseModel):
    """One fixed way to train a CLIP model from scratch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "own"
    """Named recipe these values started from; docs/datacomp-training.md lists them. Chosen with `extends: NAME`."""
    model: str = "ViT-B-32"
    """A model that open_clip knows by name, or `own`: the configuration and tokenizer among the task's assets."""
    samples: int = Field(gt=0)
    """Pairs seen, repeats counted. There are samples // batch steps, whatever the number of workers and cards."""
    batch: int = Field(gt=1)
    """Pairs an optimiser step; each is contrasted with all others of its batch, over all cards and micro-batches."""
    micro_batch: int | None = Field(default=None, gt=0)
    """Pairs a forward pass on a card. None: all that a card gets of a batch. Every pair is still contrasted with the
    whole batch: each pass is computed twice, and results differ in the last digits only."""
    lr: float = Field(gt=0)
    """Peak learning rate."""
    warmup: int = Field(ge=1)
    """Steps over which the rate rises from 0; then a cosine to 0."""
    weight_decay: float = Field(ge=0)
    """AdamW's decoupled weight decay, on matrices only: not on gains, biases and the temperature."""
    beta1: float = Field(default=0.9, gt=0, lt=1)
    """AdamW's first-moment decay."""
    beta2: float = Field(default=0.98, gt=0, lt=1)
    """AdamW's second-moment decay."""
    eps: float = Field(default=1e-6, gt=0)
    """AdamW's epsilon."""
    crop: Scale = (0.9, 1.0)
    """Share of an image's area that its random crop keeps, from and to."""
    resize: Literal["pillow", "torchvision"] = "pillow"
    """What shrinks an image's crop, both bicubic with antialiasing: Pillow, as in open_clip's own transform, or
    torchvision's kernel for 8-bit tensors, three times as fast. Of the 8-bit values it gives, some 4 % differ, by one
    or two; and its last bits may depend on the processor."""
    precision: Literal["mixed", "fp32"] = "mixed"
    """`mixed`: fp32 weights and optimiser; on CUDA the forward pass in bf16 (autocast). `fp32`: fp32 throughout. On a
    CPU `mixed` is `fp32`."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more work, same results."""
    shuffle_rows: int | None = Field(default=None, gt=0)
    """Pairs are shuffled within windows of this many; a window is made of runs of `shuffle_run` pairs that lie near
    each other in the shards, drawn from all over the selection. None: each pass over the selection is shuffled as a
    whole, which a slow disk does not stand."""
    shuffle_run: int = Field(default=256, gt=0)
    """Length of those runs."""
    compact: bool = False
    """Copy the selected pairs into one file beside the result before training, and read that. Same results."""
    checkpoint_steps: int = Field(default=200, gt=0)
    """Steps between the states of training that are kept, to go on from after a crash."""
    cards: int = Field(default=1, gt=0)
    """Processes that share each batch, one a card; results equal in all but rounding."""
    init_seed: int | None = Field(default=None, ge=0)
    """Seed of the weights before training, the same for every training. None: the training's own seed. With it,
    training seeds differ in order and crops of the pairs only, and the noise floor is that of this one beginning."""
    deterministic: bool = True
    """Only operations that give the same bits each time."""
    threads: int = Field(default=1, gt=0)
    """CPU threads of torch; part of the recipe because results depend on it in the last bits."""
    workers: int = Field(default=1, ge=0)
    """Processes a card that read and decode ahead of the training; 0: the training does. No result depends on it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.batch % (self.rows_a_pass * self.cards):
            raise ValueError("batch must be a multiple of micro_batch times cards")
        if self.steps < 1:
            raise ValueError("samples must be at least batch")
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError("crop goes from a share above 0 to one of at most 1")
        if self.shuffle_rows is not None and self.shuffle_rows < self.shuffle_run:
            raise ValueError("shuffle_rows must be at least shuffle_run")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.samples // self.batch

    @property
    def rows_a_pass(self) -> int:
        """Pairs of one forward pass on one card."""
        return self.micro_batch or max(1, self.batch // self.cards)

    def applied(self) -> dict[str, Any]:
        """Its values without those that are not set."""
        return self.model_dump(mode="json", exclude_none=True)


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Checks a recipe from a task's YAML; `extends: NAME` starts from a named one, and every other key overrides.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    return read_named(Recipe, FOLDER, values)
