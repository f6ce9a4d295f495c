"""A pool of rows as the methods see it: sources, texts, pictures and signals, one entry per row.

A row's id is its position in the pool. What a pool ships differs from task to task, so each thing
a method may need (a *need*) is looked for under several column names, and a method whose needs are
not met is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .tables import Column, from_values, read_bought, read_columns

Need = Literal["source", "length", "similarity", "loss", "el2n", "content", "embedding", "target", "icons", "ards"]
"""``source``: name of the set a row came from; ``length``: characters of its answers; ``similarity``: of its image
and text; ``loss``: of the base model on its answer; ``el2n``: the base model's error norm on it; ``content``: its
text or image, to be compared with other rows'; ``embedding``: a vector of a model; ``target``: texts of the kind that
is to be learnt; ``icons``, ``ards``: whether the row stands in a list that the method's authors released."""

NAMES: dict[str, tuple[str, ...]] = {
    "source": ("source",),
    "similarity": (
        "image_text_similarity",
        "clip_l14_similarity_score",
        "clip_b32_similarity_score",
        "clip_score",
        "similarity",
    ),
    "length": ("answer_chars", "answer_length"),
    "el2n": ("el2n", "error_norm"),
    "icons": ("icons",),
    "ards": ("ards",),
    "loss": ("base_loss", "answer_loss", "base_answer_loss", "base_model_loss", "residual", "loss", "nll"),
    "image_hash": ("image_hash", "phash", "dhash", "ahash"),
    "embedding": ("embedding", "embeddings", "clip_embeddings", "image_embedding", "text_embedding", "features", "x"),
}
"""Names a column may have, the preferred first; `-` and case do not matter."""

ROWS = "rows.jsonl"
EXCLUDED = "excluded.json"
"""Of a pool: ids of rows that nobody may hand in."""
TARGET = "target.txt"
"""Of the further tables: one text a line that says what is to be learnt."""

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
    answer_chars: int = 0
    """Characters of all answers."""


class Pool:
    """The pool folder, and beside it further tables.

    Args:
        folder: where the pool is mounted.
        extra: folders with further tables: what a user brings.
        history: folder with what the host measured in this run; its signals stand in for what the tables lack.
    """

    def __init__(self, folder: Path, *extra: Path, history: Path | None = None) -> None:
        self.folder = folder
        self._extra = extra
        tables: dict[str, Column] = {}
        for place in (*extra, folder):
            tables = read_columns(place) | tables
        scan = _scan(folder / ROWS)
        tables = {name: from_values(values) for name, values in scan.fields.items()} | tables
        if any(scan.sources):
            tables.setdefault("source", np.array(scan.sources))
        self._columns = {_plain(name): column for name, column in tables.items()}
        lengths = {len(column) for column in self._columns.values()}
        self._scanned = scan.rows > 0
        self.size = scan.rows or max(lengths, default=0)
        self._columns = {name: column for name, column in self._columns.items() if len(column) == self.size}
        bought = {} if history is None else read_bought(history, self.size)
        self._columns = {_plain(name): column for name, column in bought.items()} | self._columns
        self.bought = frozenset(_plain(name) for name in bought)
        """Names of the columns that the host measured."""

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The rows that may be chosen, ascending."""
        path = self.folder / EXCLUDED
        excluded = json.loads(path.read_text()) if path.exists() else []
        return np.setdiff1d(np.arange(self.size), np.array(excluded, dtype=np.int64))

    @property
    def names(self) -> frozenset[str]:
        """Names of all columns."""
        return frozenset(self._columns)

    def has(self, need: Need) -> bool:
        """Whether the pool has what a method needs."""
        if need == "content":
            return self._scanned or self.column("embedding") is not None
        if need == "source":
            return len(np.unique(self.sources)) > 1
        if need == "target":
            return any((place / TARGET).exists() for place in self._extra)
        if need == "length":
            return self._scanned or self.column("length") is not None
        return self.column(need) is not None

    def column(self, what: str) -> Column | None:
        """The column known by one of the names of ``what``, or None."""
        name = self.column_name(what)
        return None if name is None else self._columns[name]

    def column_name(self, what: str) -> str | None:
        """Which of the names of ``what`` the pool has."""
        return next((n for n in NAMES.get(what, ()) if n in self._columns), None)

    def column_named(self, name: str) -> Column:
        """The column of exactly this name."""
        return self._columns[name]

    def scalar(self, what: str) -> NDArray[np.float64]:
        """A column of numbers; NaN where it is undefined, and for rows that may not be chosen."""
        column = self.column(what)
        if column is None:
            raise LookupError(f"the pool has no column for {what!r}")
        values = np.full(self.size, np.nan)
        values[self.ids] = column[self.ids].astype(np.float64)
        return values

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of some rows, each of length 1 (or 0 where there is none), shape (rows, width)."""
        column = self.column("embedding")
        if column is None:
            raise LookupError("the pool has no embeddings")
        points = np.nan_to_num(np.asarray(column[rows], dtype=np.float32))
        length = np.linalg.norm(points, axis=1, keepdims=True)
        return (points / np.where(length > 0, length, 1)).astype(np.float32)

    @cached_property
    def sources(self) -> NDArray[np.str_]:
        """Source of each row; "" where there is none."""
        column = self.column("source")
        return np.full(self.size, "") if column is None else column.astype(np.str_)

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Characters of each row's answers."""
        if self.column("length") is not None:
            return self.scalar("length")
        values = np.full(self.size, np.nan)
        values[self.ids] = np.array([row.answer_chars for row in self.rows], dtype=np.float64)[self.ids]
        return values

    @cached_property
    def rows(self) -> list[Row]:
        """Text and image of each row."""
        return [_row(record) for record in self.records()]

    @cached_property
    def target(self) -> list[str]:
        """The texts that say what is to be learnt."""
        path = next(place / TARGET for place in self._extra if (place / TARGET).exists())
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every row as it stands in the file."""
        return _records(self.folder / ROWS)


@dataclass
class _Scan:
    """What one pass over the rows keeps: not the rows."""

    rows: int = 0
    sources: list[str] = field(default_factory=list)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    """Numbers and vectors that stand in the rows themselves, e.g. a loss beside the text."""


def _scan(path: Path) -> _Scan:
    scan = _Scan()
    for record in _records(path):
        if scan.rows == 0:
            scan.fields = {name: [] for name, value in record.items() if name != "row" and _is_numeric(value)}
        scan.rows += 1
        scan.sources.append(str(record.get("source") or ""))
        for name, values in scan.fields.items():
            values.append(record.get(name))
    return scan


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_numeric(part) for part in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(record: dict[str, Any]) -> Row:
    said = [(turn.get("from"), str(turn.get("value", ""))) for turn in record.get("conversations") or ()]
    turns = [words(text) for _, text in said]
    question = turns[0] if turns else ""
    if not turns:  # not a dialogue: whatever else the record holds
        content = {key: value for key, value in record.items() if key not in _LABELS}
        turns = [words(json.dumps(content, sort_keys=True))]
    image = record.get("image")
    return Row(
        image=image if isinstance(image, str) else None,
        text=" ".join(turns),
        question=question,
        answer_chars=sum(len(text) for who, text in said if who == "gpt"),
    )


def words(text: str) -> str:
    """Lower-case words and numbers, one blank between them; ``<image>`` marks left out."""
    return " ".join(re.findall(r"[\w.-]*\w", text.replace("<image>", " ").lower()))
