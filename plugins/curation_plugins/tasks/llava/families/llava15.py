"""LLaVA 1.5: one CLIP image of fixed size, Vicuna's turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from curation_plugins.tasks.llava.families.family import Family, Seen, Size
from curation_plugins.tasks.llava.families.processor import Processor
from curation_plugins.tasks.llava.images import pad_to_square
from curation_plugins.tasks.llava.template import LLAVA_TEMPLATE


class Llava15(Family):
    name = "llava-1.5"
    model_types = frozenset({"llava"})
    template = LLAVA_TEMPLATE
    mark = "<image>"
    end = "</s>"

    def _image_processor(self, folder: Path) -> Any:
        return CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)

    def picture(self, processor: Processor, image: Image.Image) -> Image.Image:
        mean = processor.image_processor.image_mean
        return pad_to_square(image, (int(mean[0] * 255), int(mean[1] * 255), int(mean[2] * 255)))

    def image_ids(self, processor: Processor, config: Any, size: Size) -> list[int]:
        vision = config.vision_config
        patches = (vision.image_size // vision.patch_size) ** 2
        return [config.image_token_id] * int(patches + (config.vision_feature_select_strategy != "default"))

    def pixels(self, processor: Processor, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        squares = [self.picture(processor, image) for image in images]
        return {"pixel_values": processor.image_processor(squares, return_tensors="pt")["pixel_values"]}

    def blank(self, processor: Processor, config: Any) -> Image.Image:
        """Of the tower's size, black (vendor/curation-train train_llava15.py at 5f9cf529: 336 × 336)."""
        side = config.vision_config.image_size
        return Image.new("RGB", (side, side))

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model.model.vision_tower
        return tower

    def projector(self, model: Any) -> torch.nn.Module:
        projector: torch.nn.Module = model.model.multi_modal_projector
        return projector

    def features(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:
        """The tower's patch features of the configured layer, before the projector; (n, tokens, width)."""
        hidden = self.tower(model)(pixels, output_hidden_states=True).hidden_states
        features: torch.Tensor = hidden[model.config.vision_feature_layer]
        return features[:, 1:] if model.config.vision_feature_select_strategy == "default" else features

    def project(self, model: Any, seen: Seen) -> torch.Tensor:
        features = seen if isinstance(seen, torch.Tensor) else self.features(model, seen["pixel_values"])
        projected: torch.Tensor = self.projector(model)(features)
        return projected
