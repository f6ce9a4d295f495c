"""Images as a frozen vision tower sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curation_plugins.tasks.llava.images import open_rgb, pad_to_square

CHUNK = 128
"""Images a forward pass of the tower."""


def load_pixels(processor: Any, paths: Sequence[Path]) -> torch.Tensor:
    """Opens, pads to a square with the processor's mean colour, and preprocesses; (n, 3, height, width)."""
    images = processor.image_processor
    mean = images.image_mean
    colour = (int(mean[0] * 255), int(mean[1] * 255), int(mean[2] * 255))
    squares = [pad_to_square(open_rgb(path), colour) for path in paths]
    pixels: torch.Tensor = images(squares, return_tensors="pt")["pixel_values"]
    return pixels


@torch.no_grad()
def tower_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """The tower's patch features of the configured layer, before the projector; (n, tokens, width)."""
    config = model.config
    hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states
    features: torch.Tensor = hidden[config.vision_feature_layer]
    return features[:, 1:] if config.vision_feature_select_strategy == "default" else features


def image_tokens(model: Any) -> int:
    """How many language-model positions one image takes."""
    vision = model.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    return int(patches + (model.config.vision_feature_select_strategy != "default"))


class FeatureStore:
    """Tower features of a folder's images, computed once.

    All images named at construction are computed in one fixed order and in fixed chunks, so that a row's
    features do not depend, in the last bit, on which rows were asked for first.
    """

    def __init__(self, model: Any, processor: Any, folder: Path, images: Sequence[str]) -> None:
        parts = []
        for start in range(0, len(images), CHUNK):
            pixels = load_pixels(processor, [folder / i for i in images[start : start + CHUNK]])
            parts.append(tower_features(model, pixels))
        self._features = torch.cat(parts) if parts else torch.zeros(0)
        self._places = {image: place for place, image in enumerate(images)}

    def __call__(self, images: Sequence[str]) -> torch.Tensor | None:
        """Features of these images, (n, tokens, width); none if there are none."""
        if not images:
            return None
        return self._features[[self._places[image] for image in images]]
