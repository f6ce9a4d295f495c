"""The files of `pool/signals`: one table of numbers for all LLaVA tasks, and the vectors."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.rows import Row, read_rows

LOSS = "answer-loss"
FACTS = "image-facts"
CLIP = "clip"

COLUMNS = (
    "row", "source", "turns", "prompt_chars", "answer_chars", "image_hash", "image_width", "image_height",
    "similarity", "answer_loss",
)  # fmt: skip
"""Of signals.csv."""

TABLE = """\
# Signals

Computed from the pool and models that know nothing of the benchmarks, by the same code for every row.

`signals.csv`: one line a row, in the order of `rows.jsonl`.

| column | meaning |
|---|---|
| row | row id: position in `rows.jsonl`, from 0 |
| source | as in `rows.jsonl` |
| turns | human and gpt turns |
| prompt_chars, answer_chars | characters of all human / all gpt turns, without the image mark |
| image_hash | 64-bit average hash of the image, 16 hex digits; near-copies differ in few bits, images \
of other content may too; empty without image |
| image_width, image_height | pixels; empty without image |
| similarity | {similarity}; empty without image |
| answer_loss | mean loss (nats) of the answer's tokens and the end token under the base model |
"""

_OF_CLIP = """
`clip_embeddings.npy`: float16, (rows, 2 x width): CLIP's vector of the image (zeros without one), then that of all
that is said, each of length 1.
"""

Facts = tuple[int, int, int]
"""Average hash of an image, its width and height."""


def write_table(
    path: Path,
    rows: Iterable[Row],
    facts: Iterable[Facts | None],
    similarities: Iterable[float | None],
    losses: Iterable[float | None],
) -> None:
    """Writes `signals.csv`; each of the columns has one entry per row, in order."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        columns = zip(rows, facts, similarities, losses, strict=True)
        for place, (row, fact, similarity, loss) in enumerate(columns):
            shown = ("", "", "") if fact is None else (f"{fact[0]:016x}", fact[1], fact[2])
            sizes = (_chars(row, "human"), _chars(row, "gpt"))
            start = (place, row.source, len(row.conversations), *sizes)
            table.writerow([*start, *shown, _number(similarity), _number(loss)])


def pack_facts(hashed: int, width: int, height: int) -> tuple[float, ...]:
    """As a signal's numbers: a 64-bit hash does not fit into one float."""
    return float(hashed >> 32), float(hashed & 0xFFFFFFFF), float(width), float(height)


def write_measured(assets: Path, measured: Mapping[str, Iterable[Any]], folder: Path) -> None:
    """Writes the whole folder from what `harness signals` measured: `image-facts`, `clip` and `answer-loss`.

    One row in memory at a time; the vectors go to the file as they come.
    """
    count = sum(1 for _ in read_rows(layout.rows_file(assets)))
    similarities = _write_vectors(folder / "clip_embeddings.npy", measured[CLIP], count)
    facts = (
        None if value is None else ((int(value[0]) << 32) | int(value[1]), int(value[2]), int(value[3]))
        for value in measured[FACTS]
    )
    rows = read_rows(layout.rows_file(assets))
    write_table(folder / "signals.csv", rows, facts, similarities, measured[LOSS])
    text = TABLE.format(similarity="cosine of the two halves of the row's CLIP vector") + _OF_CLIP
    (folder / "README.md").write_text(text, encoding="utf-8")


def _write_vectors(path: Path, vectors: Iterable[tuple[float, ...]], count: int) -> list[float | None]:
    """Writes the array and returns each row's cosine of image and text; none without image."""
    import numpy as np  # not at the top: the plugin's side imports this file, and must stay light

    out: Any = None
    similarities: list[float | None] = []
    for place, vector in enumerate(vectors):
        values = np.asarray(vector, dtype=np.float64)
        if out is None:
            shape = (count, len(values))
            out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        out[place] = values
        image, text = np.split(values, 2)
        similarities.append(float(image @ text) if image.any() else None)
    if out is not None:
        out.flush()
    return similarities


def _chars(row: Row, speaker: str) -> int:
    return sum(len(turn.value) for turn in row.without_mark() if turn.speaker == speaker)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
