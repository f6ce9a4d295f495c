"""Image and text of pool rows in the shared space of a CLIP model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks import hardware
from curation_plugins.tasks.llava.images import open_rgb
from curation_plugins.tasks.llava.rows import Row

BATCH = 64
"""Rows a forward pass."""


class Clip:
    """A CLIP model from a local folder in the Hugging Face layout; nothing is ever downloaded.

    Raises:
        AssetsInvalid: the folder holds none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._device = hardware.device()
        try:
            model: Any = CLIPModel.from_pretrained(folder, local_files_only=True, dtype="float32")
            self._images = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise AssetsInvalid(
                f"{folder}: no CLIP model can be loaded from here ({error})", hint="Fetch it again, or name another."
            ) from error
        self._model = model.eval().to(self._device)

    @torch.no_grad()
    def vectors(self, rows: Sequence[Row], pool: Path) -> list[tuple[float, ...]]:
        """For each row the image's vector (zeros without an image), then the text's, each of length 1.

        The text is all that is said in the row, cut at the model's own limit (77 tokens).
        """
        out: list[tuple[float, ...]] = []
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            both = self._model(**self._inputs(chosen, pool))
            images = torch.nn.functional.normalize(both.image_embeds.float(), dim=-1).cpu()
            texts = torch.nn.functional.normalize(both.text_embeds.float(), dim=-1).cpu()
            shown = torch.tensor([row.image is not None for row in chosen]).unsqueeze(-1)
            for vector in torch.cat([images * shown, texts], dim=1).tolist():
                out.append(tuple(round(value, 4) for value in vector))
        return out

    def _inputs(self, rows: Sequence[Row], pool: Path) -> dict[str, torch.Tensor]:
        texts = [" ".join(turn.value for turn in row.without_mark()) for row in rows]
        limit = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        given = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
        side = self._model.config.vision_config.image_size
        pixels = torch.zeros(len(rows), 3, side, side)
        places = [place for place, row in enumerate(rows) if row.image is not None]
        if places:
            images = [open_rgb(pool / str(rows[place].image)) for place in places]
            pixels[places] = self._images(images, return_tensors="pt")["pixel_values"]
        return {name: tensor.to(self._device) for name, tensor in (given | {"pixel_values": pixels}).items()}
