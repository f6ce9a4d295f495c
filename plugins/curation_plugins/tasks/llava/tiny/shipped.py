"""The signals that come with the pool of `llava-tiny`, so that an agent can begin without asking for any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.rows import Row, read_rows
from curation_plugins.tasks.llava.shipping import TABLE, write_table
from curation_plugins.tasks.llava.signals import answer_losses, embeddings, image_facts
from curation_plugins.tasks.llava.tiny.settings import TinySettings
from curation_plugins.tasks.llava.tiny.similarity import cross_fitted
from curation_plugins.tasks.llava.train import PoolState

SIMILARITY = (
    "cosine of image and text (question and answer) under two small encoders trained contrastively on"
    " this pool; a row is scored by encoders that were trained on other sources"
)

VECTORS = """
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
    facts = [image_facts(layout.pool(assets), row) for row in rows]
    write_table(folder / "signals.csv", rows, facts, similarities, losses)
    np.save(folder / "embeddings.npy", np.asarray(vectors, dtype=np.float16))
    text = TABLE.format(similarity=SIMILARITY) + VECTORS
    (folder / "README.md").write_text(text, encoding="utf-8")


def _similarities(state: PoolState, rows: Sequence[Row], seed: int) -> list[float | None]:
    places = [place for place, row in enumerate(rows) if row.image is not None]
    tokenizer = state.processor.tokenizer
    texts = [" ".join(turn.value for turn in rows[place].without_mark()) for place in places]
    tokens = tokenizer(texts)["input_ids"]
    features = state.features([rows[place].image or "" for place in places])
    assert isinstance(features, torch.Tensor)
    sources = [rows[place].source for place in places]
    values = cross_fitted(features, tokens, sources, len(tokenizer), seed)
    out: list[float | None] = [None] * len(rows)
    for place, value in zip(places, values, strict=True):
        out[place] = value
    return out
