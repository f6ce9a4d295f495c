"""Training as one would write it down first: the model's own forward pass with every logit, one row at a time, the
tower run anew for each, plain AdamW. What the fast loop is held against; shares with it which rows share a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from curation_plugins.tasks.llava.batching import batches
from curation_plugins.tasks.llava.encode import Encoded, collate
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.recipe import Recipe


def plain_losses(
    model: Any,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    pixels: Any,
    recipe: Recipe,
    seed: int,
    pad_id: int,
    *,
    checkpointing: bool = False,
    adapters: Mapping[str, torch.Tensor] | None = None,
) -> list[float]:
    """Trains `model` in place; the loss of every step.

    Args:
        pixels: preprocessed images of a list of names, as the model's forward pass takes them.
        adapters: for LoRA, what the first matrix of each adapted layer of the language model begins as, by its name
            there: drawn at random, so that it must be given.
    """
    family = family_of(model.config)
    if adapters is None:
        family.tower(model).requires_grad_(recipe.train_tower)
    else:
        model.requires_grad_(False)
        _adapt(family.language(model), adapters, recipe.lora.alpha / recipe.lora.rank)
        model.lm_head.requires_grad_(recipe.lora.train_head)
    family.projector(model).requires_grad_(True)
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    betas = (0.9, recipe.beta2)
    projector = {id(p) for p in family.projector(model).parameters()}
    rates = [(recipe.projector_lr if id(p) in projector else None) or recipe.lr for p in parameters]
    optimiser = torch.optim.AdamW(
        [{"params": [p], "lr": rate} for p, rate in zip(parameters, rates, strict=True)],
        betas=betas,
        weight_decay=recipe.weight_decay,
        foreach=False,
        fused=False,
    )
    steps = recipe.total_steps(len(rows))
    warm = max(1, math.ceil(recipe.warmup * steps))
    plan = batches([len(row.ids) for row in rows], recipe.batch, steps, seed, grouped=recipe.length_grouped)
    losses = []
    for step, chosen in enumerate(plan):
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * ((step + 1) / warm if step < warm else cosine)
        picked = [int(i) for i in chosen]
        total = sum(weights[i] * int(rows[i].supervised[1:].sum()) for i in picked)
        optimiser.zero_grad()
        of_step = 0.0
        for i in picked:
            batch = collate([rows[i]], pad_id)
            ids = batch.ids.to(model.device)
            seen = {name: one.to(model.device) for name, one in (pixels(batch.images) or {}).items()}
            logits = model(input_ids=ids, **(family.inputs(model.config, ids, seen) if seen else {})).logits
            summed = torch.nn.functional.cross_entropy(
                logits[0, :-1].float(), batch.labels[0, 1:].to(model.device), reduction="sum"
            )
            share = summed * weights[i] / total
            share.backward()
            of_step += share.item()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
        losses.append(of_step)
    return losses


class _Adapted(torch.nn.Module):
    """A frozen layer and its adapter (Hu et al. 2021, LoRA, eq. 3), written out."""

    def __init__(self, layer: torch.nn.Linear, first: torch.Tensor, scale: float) -> None:
        super().__init__()
        self.layer = layer
        self.down = torch.nn.Parameter(first.clone())
        self.up = torch.nn.Parameter(torch.zeros(layer.out_features, len(first)))
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        return y + self.scale * (x @ self.down.T @ self.up.T)


def _adapt(language: torch.nn.Module, adapters: Mapping[str, torch.Tensor], scale: float) -> None:
    """Puts an adapter beside every linear layer of the language model; there must be one for each."""
    linear = {name: layer for name, layer in language.named_modules() if isinstance(layer, torch.nn.Linear)}
    assert linear.keys() == adapters.keys()
    for name, layer in linear.items():
        parent, _, own = name.rpartition(".")
        setattr(language.get_submodule(parent), own, _Adapted(layer, adapters[name], scale))
