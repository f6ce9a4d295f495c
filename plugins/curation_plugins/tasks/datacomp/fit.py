"""The training loop: open_clip's model, loss, optimiser groups and schedule, over the batches of a feed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from open_clip_train.scheduler import cosine_lr

from curation_plugins.tasks.datacomp.feed import Batch, Feed
from curation_plugins.tasks.datacomp.loss import Contrast
from curation_plugins.tasks.datacomp.pairs import to_model
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_plugins.tasks.datacomp.states import States

Report = Callable[[int, int, float], None]
"""(steps done, all steps, current loss)."""


@dataclass(frozen=True)
class Fitted:
    """What a training measured of itself."""

    steps: int
    loss: float
    """Mean over the last tenth of the steps."""
    losses: tuple[float, ...]
    """Of every step."""
    resumed_at: int
    """Steps that an earlier try had done."""
    seconds: float
    """Of the steps done here."""
    waited: float
    """Seconds of them spent on waiting for pairs."""


class TrainingDiverged(ArithmeticError):
    """The loss is no number any more."""


def make_optimiser(model: Any, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with open_clip's two groups: gains, biases and the temperature without weight decay, and all else
    (open_clip_train/main.py of 3.3.0, and src/training/main.py of 2.16.1)."""
    plain, decayed = list[torch.nn.Parameter](), list[torch.nn.Parameter]()
    for name, weights in model.named_parameters():
        if weights.requires_grad:
            bare = weights.ndim < 2 or any(word in name for word in ("bn", "ln", "bias", "logit_scale"))
            (plain if bare else decayed).append(weights)
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": recipe.weight_decay}]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps)


def fit(model: Any, feed: Feed, recipe: Recipe, states: States, report: Report) -> Fitted:
    """Trains `model` in place, on the device where it is, going on from the last state there is.

    Every process of a training on several cards calls it, with the part of the feed that is its own.

    Raises:
        TrainingDiverged: the loss is no number any more.
        AssetsInvalid: a shard cannot be read, or more than a hundredth of the images is broken.
    """
    device = next(model.parameters()).device
    contrast = Contrast(feed.rank, recipe.cards)
    optimiser = make_optimiser(model, recipe)
    rate = cosine_lr(optimiser, recipe.lr, recipe.warmup, recipe.steps)
    losses = _restore(states, model, optimiser, feed)
    first = len(losses)
    half = recipe.precision == "mixed" and device.type == "cuda"
    began, waited = time.monotonic(), 0.0
    batches = feed.batches(first)
    for step in range(first, recipe.steps):
        asked = time.monotonic()
        parts = _parts(next(batches), model, recipe, device)
        waited += time.monotonic() - asked
        rate(step)
        optimiser.zero_grad(set_to_none=True)
        loss = contrast.backward(model, parts, half)
        if recipe.cards > 1:
            loss = _mean_over_cards(model, loss, recipe.cards)
        optimiser.step()
        with torch.no_grad():  # as open_clip_train/train.py, after the CLIP paper
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise TrainingDiverged(f"the loss is no number at step {step + 1} of {recipe.steps}")
        if (step + 1) % recipe.checkpoint_steps == 0 and step + 1 < recipe.steps:
            counts = over_cards(feed)
            if feed.rank == 0:
                states.save(_state(model, optimiser, counts, losses))
        report(step + 1, recipe.steps, losses[-1])
    batches.close()
    last = losses[-max(1, len(losses) // 10) :]
    return Fitted(len(losses), sum(last) / len(last), tuple(losses), first, time.monotonic() - began, waited)


def _parts(batch: Batch, model: Any, recipe: Recipe, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images and tokens of each forward pass, where the model is."""
    mean, std = model.visual.image_mean, model.visual.image_std
    out = []
    for at in range(0, len(batch.pixels), recipe.rows_a_pass):
        pixels = batch.pixels[at : at + recipe.rows_a_pass].to(device, non_blocking=True)
        tokens = batch.tokens[at : at + recipe.rows_a_pass].to(device, non_blocking=True)
        out.append((to_model(pixels, mean, std), tokens))
    return out


def _mean_over_cards(model: Any, loss: torch.Tensor, cards: int) -> torch.Tensor:
    """Makes every card's gradients the mean of all cards'; the mean loss. Each card's loss is the mean over its own
    rows, so the mean of the cards' is that of the batch."""
    gradients = [weights.grad for weights in model.parameters() if weights.grad is not None]
    flat = torch.cat([loss.reshape(1), *(gradient.reshape(-1) for gradient in gradients)])
    dist.all_reduce(flat)
    flat /= cards
    at = 1
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()
    return flat[0]


def over_cards(feed: Feed) -> tuple[frozenset[int], int]:
    """Broken places, and how many pairs were taken for another one: of all cards' feeds. Every card calls it.

    Raises:
        AssetsInvalid: more than a hundredth of the images is broken.
    """
    own = frozenset(feed.broken), feed.replaced
    if feed.recipe.cards == 1:
        return own
    every = [own] * feed.recipe.cards
    dist.all_gather_object(every, own)
    broken = frozenset[int]().union(*(places for places, _ in every))
    feed.require_readable(broken)
    return broken, sum(replaced for _, replaced in every)


def _state(
    model: Any, optimiser: torch.optim.Optimizer, counts: tuple[frozenset[int], int], losses: list[float]
) -> dict[str, Any]:
    return {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "losses": losses,
        "broken": sorted(counts[0]),
        "replaced": counts[1],
        "generator": torch.get_rng_state(),
    }


def _restore(states: States, model: Any, optimiser: torch.optim.Optimizer, feed: Feed) -> list[float]:
    """The losses of the steps that are done; none if there is no state to go on from."""
    found = states.load()
    if found is None:
        return []
    model.load_state_dict(found["model"])
    optimiser.load_state_dict(found["optimiser"])
    torch.set_rng_state(found["generator"])
    feed.broken = set(found["broken"])
    feed.replaced = int(found["replaced"]) if feed.rank == 0 else 0  # the sum over all cards
    return list(found["losses"])
