"""AdamW with a rate of its own for the projector, warm-up and cosine, and the mean of the last weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava.recipe import Recipe


def make_optimiser(
    parameters: Sequence[torch.nn.Parameter], projector: torch.nn.Module, recipe: Recipe
) -> torch.optim.Optimizer:
    """AdamW as the recipe has it.

    Raises:
        ConfigInvalid: it asks for the 8-bit one and bitsandbytes is not installed.
    """
    apart = {id(p) for p in projector.parameters()}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if id(p) not in apart], "lr": recipe.lr},
        {"params": [p for p in parameters if id(p) in apart], "lr": recipe.projector_lr or recipe.lr},
    ]
    settings: dict[str, Any] = {"betas": (0.9, recipe.beta2), "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, fused=True, **settings)
    try:
        import bitsandbytes  # optional package, and CUDA's
    except ImportError as error:
        raise ConfigInvalid(
            "recipe.optimiser: adamw-8bit needs the package bitsandbytes, which is not installed",
            hint="pip install bitsandbytes, or optimiser: adamw.",
        ) from error
    made: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(groups, **settings)
    return made


def warmup_cosine(steps: int, share: float) -> Callable[[int], float]:
    """Factor of the rate at a step, from 0: linear over the first `share` of the steps, then half a cosine."""
    warm = max(1, math.ceil(share * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return factor


class Average:
    """Running mean of the weights from step `start` on (Izmailov et al. 2018, without the cyclic rate)."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], start: int) -> None:
        self._parameters = list(parameters)
        self._start = start
        self._count = 0
        self._mean: list[torch.Tensor] = []

    @torch.no_grad()
    def after(self, step: int) -> None:
        if step < self._start:
            return
        self._count += 1
        current = [p.detach() for p in self._parameters]
        if not self._mean:
            self._mean = [p.clone() for p in current]
        else:
            torch._foreach_lerp_(self._mean, current, 1.0 / self._count)

    @torch.no_grad()
    def apply(self) -> None:
        for parameter, mean in zip(self._parameters, self._mean, strict=False):
            parameter.copy_(mean)
