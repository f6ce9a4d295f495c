"""SmolVLM on Idefics3: an image as a grid of tiles and a small copy of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from curation_plugins.tasks.llava.families.family import Family, Seen, Size
from curation_plugins.tasks.llava.families.processor import Processor

SMOLVLM_TEMPLATE = (
    "<|im_start|>"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}User:"
    "{% if message['content'][0]['type'] != 'image' %} {% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n"
    "{% else %}Assistant:"
    "{% generation %}"
    " {% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}<end_of_utterance>"
    "{% endgeneration %}{{ '\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""The template of transformers' SmolVLMProcessor (5.23), with the supervised span marked."""

AROUND = "<fake_token_around_image>"
WHOLE = "<global-img>"


class SmolVLM(Family):
    name = "smolvlm"
    model_types = frozenset({"idefics3", "smolvlm"})
    template = SMOLVLM_TEMPLATE
    mark = "<image>"
    end = "<end_of_utterance>"
    language_name = "text_model"

    def _image_processor(self, folder: Path) -> Any:
        return Idefics3ImageProcessorPil.from_pretrained(folder, local_files_only=True, return_row_col_info=False)

    def image_ids(self, processor: Processor, config: Any, size: Size) -> list[int]:
        """Tiles row by row, then the whole (processing_smolvlm.py of transformers 5.23, `_prompt_split_image`)."""
        width, height = size
        _, rows, columns = processor.image_processor.get_number_of_image_patches(height, width)
        vision = config.vision_config
        tile = self.mark * int((vision.image_size // vision.patch_size) ** 2 / config.scale_factor**2)
        text = ""
        for row in range(1, rows + 1):
            text += "".join(f"{AROUND}<row_{row}_col_{column}>{tile}" for column in range(1, columns + 1)) + "\n"
        text += ("\n" if rows else "") + f"{AROUND}{WHOLE}{tile}{AROUND}"
        ids: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def pixels(self, processor: Processor, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        tiles = [processor.image_processor([[image]], return_tensors="pt")["pixel_values"][0] for image in images]
        return {"pixel_values": torch.cat(tiles)}

    def blank(self, processor: Processor, config: Any) -> Image.Image:
        """Of a tile's size, black (train_smolvlm.py of the seed system at 5f9cf529: 384 × 384)."""
        side = config.vision_config.image_size
        return Image.new("RGB", (side, side))

    def inputs(self, config: Any, ids: torch.Tensor, pixels: Any) -> dict[str, torch.Tensor]:
        return {"pixel_values": pixels["pixel_values"].unsqueeze(0)}

    def tower(self, model: Any) -> torch.nn.Module:
        tower: torch.nn.Module = model.model.vision_model
        return tower

    def projector(self, model: Any) -> torch.nn.Module:
        connector: torch.nn.Module = model.model.connector
        return connector

    def project(self, model: Any, seen: Seen) -> torch.Tensor:
        assert not isinstance(seen, torch.Tensor)
        tiles = seen["pixel_values"].unsqueeze(0)
        found: torch.Tensor = model.model.get_image_features(tiles, return_dict=True).pooler_output
        return torch.cat(list(found))
