"""The training recipe: everything about training that an agent cannot change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation_plugins.tasks.llava.recipes import FOLDER
from curation_plugins.tasks.named_recipes import read_named

FamilyName = Literal["llava-1.5", "qwen2-vl", "qwen2.5-vl", "smolvlm"]


class Lora(BaseModel):
    """Low-rank adapters on the language model; the projector is trained in full."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, gt=0)
    """Rank of each adapter."""
    alpha: float = Field(default=32.0, gt=0)
    """Adapters are scaled by alpha/rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before each adapter."""
    train_head: bool = True
    """Whether the output layer is trained in full too; LLaVA's own LoRA recipe leaves it alone."""


class Recipe(BaseModel):
    """One fixed way to train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "own"
    """Named recipe these values started from; docs/recipes.md lists them. Chosen with `extends: NAME`."""
    family: FamilyName = "llava-1.5"
    """Model family it is for; a base model of another one is refused."""
    tuning: Literal["full", "lora"] = "full"
    """Train language model and projector in full, or adapters."""
    train_tower: bool = False
    """Train the vision tower too; LLaVA and SmolVLM keep it frozen."""
    lora: Lora = Lora()
    """Adapter settings, used when `tuning` is `lora`."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the selection; exactly one of `epochs` and `steps` is set."""
    steps: int | None = Field(default=None, gt=0)
    """Optimiser steps, whatever the selection's size."""
    batch: int = Field(gt=0)
    """Rows an optimiser step, over all cards and micro-batches."""
    micro_batch: int | None = Field(default=None, gt=0)
    """Rows a forward pass; gradients of a step's micro-batches are summed. None: the whole batch. The loss of a step
    is the mean over all its supervised tokens, however it is cut: another value changes memory and speed, and
    results in the last digits only."""
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
    text_rows: Literal["plain", "blank"] = "plain"
    """A row without image: no image tokens at all (LLaVA), or a black image before its text (seed system)."""
    supervise_end: bool = True
    """Whether the token that ends an answer carries loss, so that the model learns to stop."""
    length_grouped: bool = False
    """Draw batches of rows of similar length, as LLaVA's own training does. It changes which rows share a step."""
    precision: Literal["mixed", "fp32", "bf16"] = "mixed"
    """`mixed`: fp32 weights and optimiser; on CUDA the forward pass in bf16 (autocast), frozen weights held in bf16.
    `fp32`: fp32 throughout. `bf16`: weights, gradients and optimiser in bf16 without fp32 copy: at small learning
    rates many updates round to nothing. On a CPU `mixed` is `fp32`."""
    optimiser: Literal["adamw", "adamw-8bit"] = "adamw"
    """Torch's fused AdamW, or bitsandbytes' with block-wise 8-bit moments (CUDA; extra package)."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a third more work, same results."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention kernel; same results up to rounding."""
    liger: bool = False
    """Liger's fused norm, rotary and MLP kernels (CUDA; extra package); same results up to rounding."""
    cards: int = Field(default=1, gt=0)
    """Processes that share weights, gradients and optimiser (FSDP), one a card; results equal in all but rounding."""
    deterministic: bool = True
    """Only operations that give the same bits each time."""
    saved: Literal["float32", "bfloat16"] = "float32"
    """Type of the saved weights."""
    threads: int = Field(default=1, gt=0)
    """CPU threads of torch; part of the recipe because results depend on it in the last bits."""
    image_workers: int = Field(default=1, gt=0)
    """Threads that open and preprocess images ahead of the training; no result depends on it."""
    eval_batch: int = Field(default=64, gt=0)
    """Rows a forward pass when scoring and computing signals."""

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("set exactly one of epochs and steps")
        if self.batch % (self.rows_a_pass * self.cards):
            raise ValueError("batch must be a multiple of micro_batch times cards")
        if self.cards > 1 and (self.tuning == "lora" or self.optimiser != "adamw"):
            raise ValueError("several cards are for full tuning with adamw")
        if self.tuning == "lora" and self.train_tower:
            raise ValueError("the tower stays frozen under LoRA")
        return self

    def applied(self) -> dict[str, Any]:
        """Its values without those that nothing reads and those that are not set."""
        unread = set() if self.tuning == "lora" else {"lora"}
        return self.model_dump(mode="json", exclude=unread, exclude_none=True)

    @property
    def rows_a_pass(self) -> int:
        """Rows of one forward pass on one card."""
        return self.micro_batch or max(1, self.batch // self.cards)

    def total_steps(self, rows: int) -> int:
        """Optimiser steps for a selection of this many rows; at least one."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * rows / self.batch))


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Checks a recipe from a task's YAML; `extends: NAME` starts from a named one, and every other key overrides.

    Raises:
        ConfigInvalid: naming the first wrong key.
    """
    return read_named(Recipe, FOLDER, values, _other_length)


def _other_length(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides, where `steps` takes the place of the base's `epochs` and the other way round."""
    out = dict(given)
    for one, other in (("epochs", "steps"), ("steps", "epochs")):
        if out.get(one) is not None and base.get(other) is not None and other not in out:
            out[other] = None
    return out
