"""Qwen2-VL and Qwen2.5-VL: images at their own size, positions in three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from curation_plugins.tasks.llava.families.family import Family, Seen, Size
from curation_plugins.tasks.llava.families.processor import Processor

QWEN_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'user' %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n"
    "{% else %}"
    "{% generation %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}<|im_end|>"
    "{% endgeneration %}{{ '\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The published template of both models, with the supervised span marked."""

BLANK_SIDE = 56
"""Side of a blank image in pixels: the smallest that is not enlarged (min_pixels 56 · 56 of the published models)."""


class Qwen2VL(Family):
    name = "qwen2-vl"
    model_types = frozenset({"qwen2_vl"})
    template = QWEN_TEMPLATE
    mark = "<|image_pad|>"
    end = "<|im_end|>"

    def _image_processor(self, folder: Path) -> Any:
        return Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)

    def image_ids(self, processor: Processor, config: Any, size: Size) -> list[int]:
        images, (width, height) = processor.image_processor, size
        patches = images.get_number_of_image_patches(height, width)
        return [config.image_token_id] * int(patches // images.merge_size**2)

    def pixels(self, processor: Processor, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        out = processor.image_processor(list(images), return_tensors="pt")
        return {"pixel_values": out["pixel_values"], "image_grid_thw": out["image_grid_thw"]}

    def blank(self, processor: Processor, config: Any) -> Image.Image:
        return Image.new("RGB", (BLANK_SIDE, BLANK_SIDE))

    def inputs(self, config: Any, ids: torch.Tensor, pixels: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**pixels, "mm_token_type_ids": (ids == config.image_token_id).int()}

    def tower(self, model: Any) -> torch.nn.Module:
        """The tower with its merger, which is the projector."""
        tower: torch.nn.Module = model.model.visual
        return tower

    def projector(self, model: Any) -> torch.nn.Module:
        merger: torch.nn.Module = model.model.visual.merger
        return merger

    def project(self, model: Any, seen: Seen) -> torch.Tensor:
        assert not isinstance(seen, torch.Tensor)
        parts = model.model.get_image_features(seen["pixel_values"], seen["image_grid_thw"], return_dict=True)
        return torch.cat(list(parts.pooler_output))

    def positions(self, model: Any, ids: torch.Tensor, seen: Seen) -> torch.Tensor | None:
        assert not isinstance(seen, torch.Tensor)
        kinds = (ids == model.config.image_token_id).int()
        positions, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=seen["image_grid_thw"])
        found: torch.Tensor = positions
        return found


class Qwen25VL(Qwen2VL):
    name = "qwen2.5-vl"
    model_types = frozenset({"qwen2_5_vl"})
