"""A pool of rows as the methods see it: sources, texts, pictures and signals, one entry per row.

A row's id is its position in the pool. What a pool ships differs from task to task, so each thing
a method may need (a *need*) is looked for under several column names, and a method whose needs are
not met is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .tables import Column, from_values, read_columns

Need = Literal["source", "similarity", "loss", "content"]
"""``source``: name of the set a row came from; ``similarity``: of its image and text; ``loss``: of
the base model on its answer; ``content``: its text or image, to be compared with other rows'."""

NAMES: dict[str, tuple[str, ...]] = {
    "source": ("source",),
    "similarity": (
        "image_text_similarity",
        "clip_l14_similarity_score",
        "clip_b32_similarity_score",
        "clip_score",
        "similarity",
    ),
    "loss": ("base_loss", "answer_loss", "base_answer_loss", "base_model_loss", "residual", "loss", "nll"),
    "image_hash": ("image_hash", "phash", "dhash", "ahash"),
    "embedding": ("embedding", "embeddings", "image_embedding", "text_embedding", "features", "x"),
}
"""Names a column may have, the preferred first; `-` and case do not matter."""

ROWS = "rows.jsonl"

_LABELS = ("id", "row", "source", "image")
"""Fields of a row that are no content of its own."""


@dataclass(frozen=True)
class Row:
    """The parts of a row that the methods compare."""

    image: str | None
    """Path below the pool folder."""
    text: str
    """Everything said in the row, lower-case words separated by single blanks."""
    question: str
    """The first thing said, in the same form; "" in a row that is no dialogue."""


class Pool:
    """The pool folder, and beside it the signals that were asked of the host.

    Args:
        folder: where the pool is mounted.
        signals: folder with further tables (what ``curate signal`` gave), if any.
    """

    def __init__(self, folder: Path, signals: Path | None = None) -> None:
        self.folder = folder
        tables = read_columns(folder)
        if signals is not None:
            tables |= read_columns(signals)
        self._records = list(_records(folder / ROWS))
        tables = _fields(self._records) | tables
        self._columns = {_plain(name): column for name, column in tables.items()}
        lengths = {len(column) for column in self._columns.values()}
        self.size = len(self._records) or max(lengths, default=0)
        self._columns = {name: column for name, column in self._columns.items() if len(column) == self.size}

    def has(self, need: Need) -> bool:
        """Whether the pool has what a method needs."""
        if need == "content":
            return bool(self._records) or self.column("embedding") is not None
        if need == "source":
            return len(np.unique(self.sources)) > 1
        return self.column(need) is not None

    def column(self, what: str) -> Column | None:
        """The column known by one of the names of ``what``, or None."""
        return next((self._columns[n] for n in NAMES[what] if n in self._columns), None)

    def scalar(self, what: str) -> NDArray[np.float64]:
        """A column of numbers, NaN where undefined."""
        column = self.column(what)
        if column is None:
            raise LookupError(f"the pool has no column for {what!r}")
        return column.astype(np.float64)

    @cached_property
    def sources(self) -> NDArray[np.str_]:
        """Source of each row; "" where there is none."""
        column = self.column("source")
        if column is not None:
            return column.astype(np.str_)
        if not self._records:
            return np.full(self.size, "")
        return np.array([str(record.get("source") or "") for record in self._records])

    @cached_property
    def rows(self) -> list[Row]:
        """Text and image of each row."""
        return [_row(record) for record in self._records]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _fields(records: list[dict[str, Any]]) -> dict[str, Column]:
    """Numbers and vectors that stand in the rows themselves, e.g. a loss beside the text."""
    if not records:
        return {}
    numeric = [name for name, value in records[0].items() if name != "row" and _is_numeric(value)]
    return {name: from_values([record.get(name) for record in records]) for name in numeric}


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_numeric(part) for part in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(record: dict[str, Any]) -> Row:
    turns = [words(str(turn.get("value", ""))) for turn in record.get("conversations") or ()]
    question = turns[0] if turns else ""
    if not turns:  # not a dialogue: whatever else the record holds
        content = {key: value for key, value in record.items() if key not in _LABELS}
        turns = [words(json.dumps(content, sort_keys=True))]
    image = record.get("image")
    return Row(
        image=image if isinstance(image, str) else None,
        text=" ".join(turns),
        question=question,
    )


def words(text: str) -> str:
    """Lower-case words and numbers, one blank between them; ``<image>`` marks left out."""
    return " ".join(re.findall(r"[\w.-]*\w", text.replace("<image>", " ").lower()))
