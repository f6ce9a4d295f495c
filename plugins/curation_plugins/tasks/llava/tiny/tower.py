"""The vision tower's own training, under direct supervision of what stands where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from curation_plugins.tasks.llava.tiny.scenes import (
    COLOURS,
    POSITIONS,
    SHAPES,
    WORDS,
    Pixels,
    Scene,
    draw,
    random_scene,
)
from curation_plugins.tasks.llava.tiny.settings import BaseModelSettings

BATCH = 64
"""Images a step, all new."""


def to_pixels(processor: Any, images: Sequence[Pixels]) -> torch.Tensor:
    """Drawn canvases through the processor; (n, 3, CANVAS, CANVAS)."""
    pixels: torch.Tensor = processor.image_processor(
        [Image.fromarray(image) for image in images], return_tensors="pt"
    )["pixel_values"]
    return pixels


class _Heads(torch.nn.Module):
    """What the tower must know: colour and shape in each quadrant; from any token, the word or digit and which
    coloured shapes there are at all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.colour = torch.nn.Linear(width, len(COLOURS) + 1)
        self.shape = torch.nn.Linear(width, len(SHAPES) + 1)
        self.word = torch.nn.Linear(width, len(WORDS) + 1)
        self.digit = torch.nn.Linear(width, 11)
        self.present = torch.nn.Linear(width, len(COLOURS) * len(SHAPES))

    def loss(self, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Features (n, 4, width) and targets (n, 4, 4): colour, shape, word, digit; 0 is none."""
        colour, shape = targets[:, :, 0], targets[:, :, 1]
        kinds = len(COLOURS) * len(SHAPES)
        pair = ((colour - 1) * len(SHAPES) + shape - 1).clamp_min(0)
        there = torch.nn.functional.one_hot(pair, kinds) * (shape > 0).unsqueeze(-1)
        there = there.amax(1, keepdim=True).float()
        total = torch.nn.functional.binary_cross_entropy_with_logits(
            self.present(features), there.expand(-1, features.shape[1], -1)
        )
        for place, head in enumerate((self.colour, self.shape, self.word, self.digit)):
            logits = head(features)
            total = total + torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, :, place].flatten())
        return total


def _targets(scene: Scene) -> list[list[int]]:
    if scene.things:
        by_place = {thing.position: thing for thing in scene.things}
        colours = list(COLOURS)
        return [
            [colours.index(t.colour) + 1, SHAPES.index(t.shape) + 1, 0, 0]
            if (t := by_place.get(position))
            else [0, 0, 0, 0]
            for position in POSITIONS
        ]
    word = WORDS.index(scene.word) + 1 if scene.word else 0
    return [[0, 0, word, scene.value + 1]] * len(POSITIONS)


def train_tower(
    model: Any,
    processor: Any,
    settings: BaseModelSettings,
    digits: NDArray[np.int64],
    rng: np.random.Generator,
    progress: Callable[[str, float], None],
) -> None:
    """Trains the tower of `model` in place, on scenes whose digits are among `digits`."""
    tower = model.model.vision_tower
    heads = _Heads(settings.vision_width)
    parameters = [*tower.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=settings.tower_steps)
    tower.train()
    for step in range(settings.tower_steps):
        scenes = [random_scene(rng, digits) for _ in range(BATCH)]
        pixels = to_pixels(processor, [draw(scene, rng) for scene in scenes])
        hidden = tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        loss = heads.loss(hidden, torch.tensor([_targets(scene) for scene in scenes]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        rate.step()
        if step % 50 == 49:
            share = 0.2 * (step + 1) / settings.tower_steps
            progress(f"vision tower, loss {loss.item():.3f}", share)
    tower.eval()
