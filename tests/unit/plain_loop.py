"""Training as one would write it down first: the model's own forward pass with every logit, one row at a time, the
tower run anew for each, plain AdamW. What the fast loop is held against; shares with it which rows share a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
) -> list[float]:
    """Trains `model` in place; the loss of every step.

    Args:
        pixels: preprocessed images of a list of names, as the model's forward pass takes them.
    """
    family = family_of(model.config)
    family.tower(model).requires_grad_(recipe.train_tower)
    family.projector(model).requires_grad_(True)
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    betas = (0.9, recipe.beta2)
    optimiser = torch.optim.AdamW(
        parameters, lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay, foreach=False, fused=False
    )
    steps = recipe.total_steps(len(rows))
    warm = max(1, math.ceil(recipe.warmup * steps))
    plan = batches([len(row.ids) for row in rows], recipe.batch, steps, seed, grouped=recipe.length_grouped)
    losses = []
    for step, chosen in enumerate(plan):
        cosine = 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * ((step + 1) / warm if step < warm else cosine)
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
