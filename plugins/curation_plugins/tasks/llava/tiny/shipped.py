"""The signals that come with the pool of `llava-tiny`, so that an agent can begin without asking for any."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.images import average_hash, open_rgb
from curation_plugins.tasks.llava.rows import IMAGE_MARK, Row, Turn, read_rows
from curation_plugins.tasks.llava.signals import answer_losses, embeddings
from curation_plugins.tasks.llava.tiny.settings import TinySettings
from curation_plugins.tasks.llava.tiny.similarity import cross_fitted
from curation_plugins.tasks.llava.train import PoolState

COLUMNS = (
    "row", "source", "turns", "prompt_chars", "answer_chars", "image_hash", "similarity", "answer_loss",
)  # fmt: skip
"""Of signals.csv."""

README = """\
# Signals

Computed from the pool and the base model alone, by the same code for every row.

`signals.csv`: one line a row, in the order of `rows.jsonl`.

| column | meaning |
|---|---|
| row | row id: position in `rows.jsonl`, from 0 |
| source | as in `rows.jsonl` |
| turns | human and gpt turns |
| prompt_chars, answer_chars | characters of all human / all gpt turns, without the image mark |
| image_hash | 64-bit average hash of the image, 16 hex digits; near-copies differ in few bits, images \
of other content may too; empty without image |
| similarity | cosine of image and text (question and answer) under two small encoders trained contrastively on \
this pool; a row is scored by encoders that were trained on other sources; empty without image |
| answer_loss | mean loss (nats) of the answer's tokens and the end token under the base model |

`embeddings.npy`: float16, (rows, width): last hidden state of the base model, mean over the row's image and text
positions.
"""


def write_signals(assets: Path, settings: TinySettings) -> None:
    """Writes `signals/` below the pool. Needs rows, images and base model in place."""
    recipe = settings.base.recipe
    state = PoolState(assets, recipe)
    rows = list(read_rows(layout.rows_file(assets)))
    encoded = state.encoded(tuple(range(len(rows))))
    rest = (state.features, state.pad_id, recipe.eval_batch)
    losses = answer_losses(state.model, encoded, *rest)
    vectors = embeddings(state.model, encoded, *rest)
    similarities = _similarities(state, rows, settings.seed)
    folder = layout.pool(assets) / "signals"
    folder.mkdir()
    with (folder / "signals.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for place, row in enumerate(rows):
            table.writerow(
                [
                    place,
                    row.source,
                    len(row.conversations),
                    _chars(row, "human"),
                    _chars(row, "gpt"),
                    _hash(layout.pool(assets), row),
                    _number(similarities[place]),
                    _number(losses[place]),
                ]
            )
    np.save(folder / "embeddings.npy", np.asarray(vectors, dtype=np.float16))
    (folder / "README.md").write_text(README, encoding="utf-8")


def _similarities(state: PoolState, rows: Sequence[Row], seed: int) -> list[float | None]:
    places = [place for place, row in enumerate(rows) if row.image is not None]
    tokenizer = state.processor.tokenizer
    texts = [" ".join(turn.value for turn in _plain(rows[place])) for place in places]
    tokens = tokenizer(texts)["input_ids"]
    features = state.features([rows[place].image or "" for place in places])
    assert isinstance(features, torch.Tensor)
    sources = [rows[place].source for place in places]
    values = cross_fitted(features, tokens, sources, len(tokenizer), seed)
    out: list[float | None] = [None] * len(rows)
    for place, value in zip(places, values, strict=True):
        out[place] = value
    return out


def _plain(row: Row) -> list[Turn]:
    mark = f"{IMAGE_MARK}\n"
    return [turn.model_copy(update={"value": turn.value.replace(mark, "")}) for turn in row.conversations]


def _chars(row: Row, speaker: str) -> int:
    return sum(len(turn.value) for turn in _plain(row) if turn.speaker == speaker)


def _hash(pool: Path, row: Row) -> str:
    return f"{average_hash(open_rgb(pool / row.image)):016x}" if row.image else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
