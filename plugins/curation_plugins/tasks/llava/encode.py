"""From rows to token ids with the loss mask, and from those to padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.chat_template_utils import render_jinja_template

from curation_plugins.tasks.llava.rows import Row

IGNORED = -100
"""Label of a token without loss (torch's default `ignore_index`)."""


@dataclass(frozen=True)
class Encoded:
    """One row or prompt as the language model reads it."""

    ids: NDArray[np.int64]
    """Token ids, shape (n,), the image mark expanded to one id per image token."""
    supervised: NDArray[np.bool_]
    """Which ids carry loss: the assistant's words and the end token; shape (n,)."""
    image: str | None
    """Path below the row's folder."""


@dataclass(frozen=True)
class Batch:
    """Right-padded encoded rows."""

    ids: torch.Tensor
    """(rows, longest) int64."""
    labels: torch.Tensor
    """(rows, longest) int64: the id, or IGNORED."""
    images: tuple[str, ...]
    """Paths of the rows that have an image, in row order."""


class Encoder:
    """Encodes with one processor; `image_tokens` is how many ids an image takes."""

    def __init__(self, processor: Any, image_tokens: int, max_tokens: int) -> None:
        self._tokenizer = processor.tokenizer
        self._template: str = processor.chat_template
        self._image_tokens = image_tokens
        self._max_tokens = max_tokens
        self._image_id = int(self._tokenizer.convert_tokens_to_ids(processor.image_token))

    def rows(self, rows: Sequence[Row]) -> list[Encoded]:
        """Encodes training rows; loss on assistant spans, as the template's generation blocks mark them."""
        return self._encode([row.messages() for row in rows], [row.image for row in rows])

    def prompts(self, questions: Sequence[str], images: Sequence[str]) -> list[Encoded]:
        """Encodes one-turn questions up to where the answer begins."""
        messages = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
            for question in questions
        ]
        return self._encode(messages, list(images), answer_next=True)

    def _encode(
        self,
        messages: list[list[dict[str, Any]]],
        images: Sequence[str | None],
        *,
        answer_next: bool = False,
    ) -> list[Encoded]:
        if not messages:
            return []
        texts, spans = render_jinja_template(
            messages,
            chat_template=self._template,
            return_assistant_tokens_mask=True,
            add_generation_prompt=answer_next,
        )
        tokens = self._tokenizer(texts, return_offsets_mapping=True)
        return [
            self._expand(ids, offsets, span, image)
            for ids, offsets, span, image in zip(
                tokens["input_ids"], tokens["offset_mapping"], spans, images, strict=True
            )
        ]

    def _expand(
        self,
        ids: list[int],
        offsets: list[tuple[int, int]],
        spans: list[tuple[int, int]],
        image: str | None,
    ) -> Encoded:
        flat = np.asarray(ids, dtype=np.int64)
        begin = np.asarray([start for start, _ in offsets])
        end = np.asarray([stop for _, stop in offsets])
        supervised = np.zeros(len(flat), dtype=np.bool_)
        for start, stop in spans:
            supervised |= (end > start) & (begin < stop)
        repeats = np.where(flat == self._image_id, self._image_tokens, 1)
        flat = np.repeat(flat, repeats)[: self._max_tokens]
        supervised = np.repeat(supervised, repeats)[: self._max_tokens]
        return Encoded(ids=flat, supervised=supervised, image=image)


def collate(rows: Sequence[Encoded], pad_id: int) -> Batch:
    """Pads on the right. Under causal attention no real token sees the padding, so no mask is needed."""
    longest = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    labels = np.full((len(rows), longest), IGNORED, dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = row.ids
        labels[place, : len(row.ids)] = np.where(row.supervised, row.ids, IGNORED)
    return Batch(
        ids=torch.from_numpy(ids),
        labels=torch.from_numpy(labels),
        images=tuple(row.image for row in rows if row.image is not None),
    )
