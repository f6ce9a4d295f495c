"""The interface of a model family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from transformers import AutoTokenizer

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.families.processor import Processor

Size = tuple[int, int]
"""Of an image: width and height in pixels."""
Seen = torch.Tensor | Mapping[str, torch.Tensor]
"""Images on their way into a model: preprocessed (`Family.pixels`), or ready features of a frozen tower."""


class Family(ABC):
    """Everything in which the families differ. A model is one of transformers' classes for conditional generation:
    `model.model` has embeddings, tower, projector and language model, `model.lm_head` the output layer."""

    name: ClassVar[str]
    """As recipes and model entries name it."""
    model_types: ClassVar[frozenset[str]]
    """`model_type` of the configurations it covers."""
    template: ClassVar[str]
    """Jinja; answers, each with its end token, lie in generation blocks."""
    mark: ClassVar[str]
    """Special token that stands for an image in the template's output."""
    end: ClassVar[str]
    """Special token that ends an answer."""
    linear: ClassVar[str] = r".*\.(q|k|v|o|gate|up|down)_proj"
    """Regular expression over the rest of a module's name, below the language model: what LoRA adapts."""
    language_name: ClassVar[str] = "language_model"
    """Attribute of `model.model`."""

    # --- words and pictures, no weights needed ---

    def open(self, folder: Path) -> Processor:
        """Tokenizer and preprocessing of a checkpoint folder.

        Raises:
            AssetsInvalid: they cannot be read, or the tokenizer lacks one of the family's special tokens.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            images = self._image_processor(folder)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise AssetsInvalid(
                f"{folder}: no tokenizer and image processor can be loaded from here ({error})",
                hint="The assets were changed or damaged; make them again.",
            ) from error
        for token in (self.mark, self.end):
            place = tokenizer.convert_tokens_to_ids(token)
            if place is None or place == tokenizer.unk_token_id:
                raise AssetsInvalid(
                    f"{folder}: the tokenizer does not know {token!r}, which {self.name} needs",
                    hint="Is this a checkpoint of another model?",
                )
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = self.end
        return Processor(tokenizer, images, self.template, self.mark, folder)

    @abstractmethod
    def _image_processor(self, folder: Path) -> Any:
        """The image processor of a folder; may raise what `from_pretrained` raises."""

    def picture(self, processor: Processor, image: Image.Image) -> Image.Image:
        """An image as the preprocessing of any engine should get it."""
        return image

    @abstractmethod
    def image_ids(self, processor: Processor, config: Any, size: Size) -> list[int]:
        """The token ids that an image of this size takes in the place of its mark."""

    @abstractmethod
    def pixels(self, processor: Processor, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        """Preprocessed images, one after the other, as the model's forward pass takes them.

        Every tensor's first axis runs over images, tiles or patches, so that those of several lists can be joined.
        """

    @abstractmethod
    def blank(self, processor: Processor, config: Any) -> Image.Image:
        """The black image that stands before a text without image, where a recipe wants one."""

    def inputs(self, config: Any, ids: torch.Tensor, pixels: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the model's own `forward` and `generate` take beside `input_ids` (rows, n)."""
        return dict(pixels)

    # --- a loaded model ---

    @abstractmethod
    def tower(self, model: Any) -> torch.nn.Module:
        """The vision tower, projector not included."""

    @abstractmethod
    def projector(self, model: Any) -> torch.nn.Module:
        """What takes tower features into the language model."""

    def language(self, model: Any) -> Any:
        """The language model without its output layer."""
        return getattr(model.model, self.language_name)

    @abstractmethod
    def project(self, model: Any, seen: Seen) -> torch.Tensor:
        """Vectors of the image tokens, in order, (tokens, width of the language model)."""

    def positions(self, model: Any, ids: torch.Tensor, seen: Seen) -> torch.Tensor | None:
        """Positions of a batch with images, where they are not just counted."""
        return None

    def hidden(self, model: Any, ids: torch.Tensor, seen: Seen | None) -> torch.Tensor:
        """Last hidden states of the language model, (rows, longest, width).

        Args:
            ids: right-padded, (rows, longest) int64; under causal attention no real token sees the padding.
        """
        embeds = model.get_input_embeddings()(ids)
        positions = None
        if seen is not None:
            mask = (ids == model.config.image_token_id).unsqueeze(-1)
            embeds = embeds.masked_scatter(mask, self.project(model, seen).to(embeds.dtype))
            positions = self.positions(model, ids, seen)
        given = {} if positions is None else {"position_ids": positions}
        hidden: torch.Tensor = self.language(model)(inputs_embeds=embeds, use_cache=False, **given).last_hidden_state
        return hidden
