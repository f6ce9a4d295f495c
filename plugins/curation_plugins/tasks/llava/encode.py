"""From rows to token ids with the loss mask, and from those to padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.chat_template_utils import render_jinja_template

from curation_plugins.tasks.llava.families.family import Size
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.families.processor import Processor
from curation_plugins.tasks.llava.rows import Row

IGNORED = -100
"""Label of a token without loss (torch's default `ignore_index`)."""
BLANK = ":blank:"
"""Stands for the black image of a row without one; no path of a pool begins like this."""


@dataclass(frozen=True)
class Encoded:
    """One row or prompt as the language model reads it."""

    ids: NDArray[np.int64]
    """Token ids, shape (n,), the image mark expanded to the ids its image takes."""
    supervised: NDArray[np.bool_]
    """Which ids carry loss: the assistant's words and the end token; shape (n,)."""
    image: str | None
    """Path below the row's folder, or BLANK; none also where the row was cut inside its image, which leaves nothing
    to learn."""
    cut: bool = False
    """Whether tokens were cut off its end."""

    @property
    def fully_masked(self) -> bool:
        """Whether no token carries loss: the row is trained on in vain."""
        return not self.supervised[1:].any()


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
    """Encodes rows and prompts for one model."""

    def __init__(self, processor: Processor, config: Any, max_tokens: int, *, supervise_end: bool = True) -> None:
        """
        Args:
            config: the model's; decides on the family and on how many ids an image takes.
            max_tokens: what goes beyond is cut off, image tokens counted.
            supervise_end: whether an answer's end token carries loss.
        """
        self._family = family_of(config)
        self._processor = processor
        self._config = config
        self._max_tokens = max_tokens
        self._supervise_end = supervise_end
        tokenizer = processor.tokenizer
        self._mark_id = int(tokenizer.convert_tokens_to_ids(self._family.mark))
        self._end_id = int(tokenizer.convert_tokens_to_ids(self._family.end))
        self._image_ids: dict[Size, NDArray[np.int64]] = {}

    def rows(self, rows: Sequence[Row], sizes: Sequence[Size | None], blank: Size | None = None) -> list[Encoded]:
        """Encodes training rows; loss on assistant spans, as the template's generation blocks mark them.

        Args:
            sizes: of each row's image, as `Family.picture` or the file has it; none without image.
            blank: size of the black image that goes before a row without one; none: it gets no image tokens.
        """
        images = [_shown(row, blank) for row in rows]
        messages = [
            _with_blank(row) if image == BLANK else row.messages() for row, image in zip(rows, images, strict=True)
        ]
        shown = [
            None if image is None else blank if image == BLANK else size
            for image, size in zip(images, sizes, strict=True)
        ]
        return [
            _drop_cut_image(one, image, self._mark_id)
            for one, image in zip(
                self._encode(messages, [[] if size is None else [size] for size in shown]), images, strict=True
            )
        ]

    def prompts(self, questions: Sequence[str], sizes: Sequence[Sequence[Size]]) -> list[Encoded]:
        """Encodes one-turn questions up to where the answer begins.

        Args:
            sizes: of the images that each shows before the question.
        """
        counts = [len(each) for each in sizes]
        return self._encode(_asked(questions, counts), sizes, answer_next=True)

    def prompt_texts(self, questions: Sequence[str], images: Sequence[int]) -> list[str]:
        """The same prompts as text, with one image mark an image.

        Args:
            images: how many each shows.
        """
        if not questions:
            return []
        return self._render(_asked(questions, images), answer_next=True)[0]

    def _render(self, messages: list[list[dict[str, Any]]], *, answer_next: bool) -> tuple[list[str], list[Any]]:
        texts, spans = render_jinja_template(
            [[self._without_mark(message) for message in each] for each in messages],
            chat_template=self._family.template,
            return_assistant_tokens_mask=True,
            add_generation_prompt=answer_next,
        )
        return list(texts), list(spans)

    def _without_mark(self, message: dict[str, Any]) -> dict[str, Any]:
        """A mark that somebody wrote into a text is no image."""
        content = [
            {**part, "text": part["text"].replace(self._family.mark, "")} if part["type"] == "text" else part
            for part in message["content"]
        ]
        return {**message, "content": content}

    def _encode(
        self, messages: list[list[dict[str, Any]]], sizes: Sequence[Sequence[Size]], *, answer_next: bool = False
    ) -> list[Encoded]:
        if not messages:
            return []
        texts, spans = self._render(messages, answer_next=answer_next)
        tokens = self._processor.tokenizer(texts, return_offsets_mapping=True)
        return [
            self._expand(ids, offsets, span, shown)
            for ids, offsets, span, shown in zip(
                tokens["input_ids"], tokens["offset_mapping"], spans, sizes, strict=True
            )
        ]

    def _expand(
        self, ids: list[int], offsets: list[tuple[int, int]], spans: list[tuple[int, int]], sizes: Sequence[Size]
    ) -> Encoded:
        flat = np.asarray(ids, dtype=np.int64)
        begin = np.asarray([start for start, _ in offsets])
        end = np.asarray([stop for _, stop in offsets])
        supervised = np.zeros(len(flat), dtype=np.bool_)
        for start, stop in spans:
            supervised |= (end > start) & (begin < stop)
        if not self._supervise_end:
            supervised &= flat != self._end_id
        places = np.flatnonzero(flat == self._mark_id)
        parts, carried, done = [], [], 0
        for place, size in zip(places.tolist(), sizes, strict=True):
            image = self._image(size)
            parts += [flat[done:place], image]
            carried += [supervised[done:place], np.zeros(len(image), dtype=np.bool_)]
            done = place + 1
        flat, supervised = np.concatenate([*parts, flat[done:]]), np.concatenate([*carried, supervised[done:]])
        cut = len(flat) > self._max_tokens
        return Encoded(flat[: self._max_tokens], supervised[: self._max_tokens], image=None, cut=cut)

    def _image(self, size: Size) -> NDArray[np.int64]:
        if size not in self._image_ids:
            ids = self._family.image_ids(self._processor, self._config, size)
            self._image_ids[size] = np.asarray(ids, dtype=np.int64)
        return self._image_ids[size]


def _shown(row: Row, blank: Size | None) -> str | None:
    if not row.asks:
        return None
    return row.image if row.image is not None or blank is None else BLANK


def _with_blank(row: Row) -> list[dict[str, Any]]:
    first, *rest = row.messages()
    return [{**first, "content": [{"type": "image"}, *first["content"]]}, *rest]


def _drop_cut_image(encoded: Encoded, image: str | None, mark_id: int) -> Encoded:
    """An image of which not all tokens are left cannot be put in their places."""
    if encoded.cut and not encoded.supervised.any():
        ids = np.where(encoded.ids == mark_id, encoded.ids[0], encoded.ids)
        return Encoded(ids, encoded.supervised, image=None, cut=True)
    return Encoded(encoded.ids, encoded.supervised, image, encoded.cut)


def _asked(questions: Sequence[str], images: Sequence[int]) -> list[list[dict[str, Any]]]:
    return [
        [{"role": "user", "content": [*([{"type": "image"}] * count), {"type": "text", "text": question}]}]
        for question, count in zip(questions, images, strict=True)
    ]


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
