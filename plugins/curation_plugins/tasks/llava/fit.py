"""The training loop: AdamW, warm-up and cosine, clipping, optional weight averaging."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from curation_plugins.tasks.llava.batching import batches
from curation_plugins.tasks.llava.encode import Encoded, collate
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.recipe import Recipe

Features = Callable[[Sequence[str]], torch.Tensor | None]
"""Tower features of image paths, or none for no paths."""


@dataclass(frozen=True)
class Fitted:
    """What a training run measured of itself."""

    steps: int
    samples: int
    loss: float
    """Mean over the last tenth of the steps."""
    fully_masked_rows: int
    """Rows of the selection without one supervised token: they were trained on in vain."""
    supervised_tokens: int
    """In the selection, once."""


def set_determinism(threads: int, seed: int) -> None:
    """Fixes everything torch lets one fix, for this process."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Writing NaN into fresh memory is a guard against bugs; equal results do not need it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def trainable(model: Any, recipe: Recipe) -> tuple[Any, list[torch.nn.Parameter]]:
    """Freezes the tower and, for LoRA, adds adapters.

    Returns:
        what to call `merge_and_unload` on (none for full tuning), and the parameters to train.
    """
    adapters = None
    if recipe.tuning == "lora":
        from peft import LoraConfig, get_peft_model  # slow to import, and rarely needed

        # A frozen output layer cannot learn to begin answers in a new form (yes/no stays at the majority).
        adapters = get_peft_model(
            model,
            LoraConfig(
                r=recipe.lora.rank,
                lora_alpha=recipe.lora.alpha,
                lora_dropout=recipe.lora.dropout,
                target_modules=r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
                modules_to_save=["multi_modal_projector", "lm_head"],
            ),
        )
    model.model.vision_tower.requires_grad_(False)
    return adapters, [p for p in model.parameters() if p.requires_grad]


def fit(
    model: Any,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    features: Features,
    recipe: Recipe,
    seed: int,
    pad_id: int,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Fitted:
    """Trains `model` in place.

    The loss of a step is the mean over the batch's supervised tokens, each weighted by its row.

    Args:
        rows: the encoded selection; its order matters only through `seed`.
        weights: one per row.
        progress: called after every step with (steps done, all steps, current loss).
    """
    set_determinism(recipe.threads, seed)
    adapters, parameters = trainable(model, recipe)
    model.train()
    steps = recipe.total_steps(len(rows))
    optimiser = _optimiser(model, parameters, recipe)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, _warmup_cosine(steps, recipe.warmup))
    average = _Average(parameters, start=steps - round(recipe.average_last * steps))
    row_weights = torch.tensor(weights, dtype=torch.float32)
    lengths = [len(row.ids) for row in rows]
    losses: list[float] = []
    plan = batches(lengths, recipe.batch, steps, seed, grouped=recipe.length_grouped)
    for step, chosen in enumerate(plan):
        batch = collate([rows[int(i)] for i in chosen], pad_id)
        logits, targets, places = answer_logits(model, batch, features(batch.images))
        token_weights = row_weights[torch.from_numpy(chosen)[places]]
        each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        # A batch without any supervised token gives 0/0; it must not poison the weights.
        loss = (each * token_weights).sum() / token_weights.sum().clamp_min(1e-8)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
        rate.step()
        average.after(step)
        losses.append(loss.item())
        progress(step + 1, steps, losses[-1])
    average.apply()
    if adapters is not None:
        adapters.merge_and_unload()
    model.eval()
    return Fitted(
        steps=steps,
        samples=steps * recipe.batch,
        loss=float(np.mean(losses[-max(1, steps // 10) :])),
        fully_masked_rows=sum(not row.supervised[1:].any() for row in rows),
        supervised_tokens=int(sum(row.supervised[1:].sum() for row in rows)),
    )


def _optimiser(model: Any, parameters: list[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    projector = {id(p) for p in model.model.multi_modal_projector.parameters()}
    groups = [
        {"params": [p for p in parameters if id(p) not in projector], "lr": recipe.lr},
        {
            "params": [p for p in parameters if id(p) in projector],
            "lr": recipe.projector_lr or recipe.lr,
        },
    ]
    return torch.optim.AdamW(groups, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay, fused=True)


def _warmup_cosine(steps: int, share: float) -> Callable[[int], float]:
    warm = max(1, math.ceil(share * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return factor


class _Average:
    """Running mean of the weights from step `start` on (Izmailov et al. 2018, without the cyclic rate)."""

    def __init__(self, parameters: list[torch.nn.Parameter], start: int) -> None:
        self._parameters = parameters
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
