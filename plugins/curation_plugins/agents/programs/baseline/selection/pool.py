"""A pool as the methods see it: sources, texts, pictures and signals, one entry per row.

There are two kinds: records in ``rows.jsonl``, a row's id being its place there (``rows_file``), and image-text pairs
in DataComp's layout (``pair_files``). What a pool ships differs from task to task, so each thing a method may need
(a *need*) is looked for under several column names, and a method whose needs are not met is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .pair_files import Features, Pairs
from .rows_file import ROWS, Row, records, row_of, scan, words
from .tables import Column, from_values, read_bought, read_columns

Need = Literal[
    "source", "length", "similarity", "loss", "el2n", "content", "looks", "embedding", "target", "icons", "ards",
    "pairs", "text", "size", "clip_b32", "clip_l14", "masked", "image_features", "text_features", "class_words",
    "target_images",
]  # fmt: skip
"""``source``: name of the set a row came from; ``length``: characters of its answers; ``similarity``: of its image
and text; ``loss``: of the base model on its answer; ``el2n``: the base model's error norm on it; ``content``: its
text or image, to be compared with other rows'; ``looks``: something that near-copies of pictures are told by;
``embedding``: a vector of a model; ``target``: texts of the kind that is to be learnt; ``icons``, ``ards``: whether
the row stands in a list that the method's authors released.

Of a pool in DataComp's layout (``pairs``): ``text``: captions; ``size``: of the pictures as published; ``clip_b32``,
``clip_l14``: DataComp's scores; ``masked``: such a score of the picture with its text masked; ``image_features``,
``text_features``: CLIP's vectors; ``class_words``: words that name what is to be told apart; ``target_images``: image
vectors of what is to be learnt."""

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
    "image_hash": ("image_hash", "phash", "dhash", "ahash", "sha256"),
    "embedding": (
        "embedding", "embeddings", "clip_embeddings", "image_embedding", "text_embedding", "features", "x", "l14_img",
        "b32_img",
    ),
    "width": ("original_width",),
    "height": ("original_height",),
    "clip_b32": ("clip_b32_similarity_score",),
    "clip_l14": ("clip_l14_similarity_score",),
    "masked": ("masked_l14_similarity_score", "masked_b32_similarity_score", "tmars_score"),
    "image_features": ("l14_img", "b32_img"),
    "text_features": ("l14_txt", "b32_txt"),
    "language": ("language", "fasttext_language"),
    "gcld3": ("gcld3_language",),
}  # fmt: skip
"""Names a column may have, the preferred first; `-` and case do not matter."""

EXCLUDED = "excluded.json"
"""Of a pool: ids of rows that nobody may hand in."""
FILES: dict[str, str] = {
    "target": "target.txt",
    "class_words": "class_words.txt",
    "target_images": "target_images.npy",
    "centroids": "centroids.npy",
}
"""What is no column, and looked for in the folders of further tables, then in the pool's: one text a line that says
what is to be learnt; one lower-case word a line; vectors, shape (vectors, width)."""


class Pool:
    """The pool folder, and beside it further tables.

    Args:
        folder: where the pool is mounted.
        extra: folders with further tables: what a user brings.
        history: folder with what the host measured in this run; its signals stand in for what the tables lack.

    Raises:
        PoolUnreadable: a file of a pool in DataComp's layout is damaged.
    """

    def __init__(self, folder: Path, *extra: Path, history: Path | None = None) -> None:
        self.folder = folder
        self._extra = extra
        self._pairs = Pairs(folder) if Pairs.here(folder) else None
        rows_of = None if self._pairs is None else self._pairs.rows_of
        tables: dict[str, Column] = {}
        for place in (*extra, folder):
            tables = read_columns(place, rows_of, 0 if self._pairs is None else self._pairs.size) | tables
        found = scan(folder / ROWS)
        tables = {name: from_values(values) for name, values in found.fields.items()} | tables
        if any(found.sources):
            tables.setdefault("source", np.array(found.sources))
        self._columns = {_plain(name): column for name, column in tables.items()}
        self._scanned = found.rows > 0
        lengths = {len(column) for column in self._columns.values()}
        self.size = self._pairs.size if self._pairs else found.rows or max(lengths, default=0)
        self._columns = {name: column for name, column in self._columns.items() if len(column) == self.size}
        bought = {} if history is None else read_bought(history, self.size)
        self._columns = {_plain(name): column for name, column in bought.items()} | self._columns
        self.bought = frozenset(_plain(name) for name in bought)
        """Names of the columns that the host measured."""

    @property
    def is_pairs(self) -> bool:
        """Whether it is in DataComp's layout; else it is rows."""
        return self._pairs is not None

    @property
    def pairs(self) -> Pairs:
        """The pairs of a pool in DataComp's layout.

        Raises:
            LookupError: it is of the other kind.
        """
        if self._pairs is None:
            raise LookupError("the pool is not in DataComp's layout")
        return self._pairs

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The rows that may be chosen, ascending."""
        path = self.folder / EXCLUDED
        excluded = json.loads(path.read_text()) if path.exists() else []
        every = np.arange(self.size)
        return np.setdiff1d(every, np.array(excluded, dtype=np.int64)) if excluded else every

    @property
    def names(self) -> frozenset[str]:
        """Names of all columns."""
        return frozenset(self._columns).union(() if self._pairs is None else self._pairs.names)

    def has(self, need: Need) -> bool:
        """Whether the pool has what a method needs."""
        if need in FILES:
            return self.file(need) is not None
        if need == "pairs":
            return self.is_pairs
        if need == "text":
            return self.is_pairs and "text" in self.pairs.names
        if need == "size":
            return self.column_name("width") is not None and self.column_name("height") is not None
        if need == "looks":
            return self._scanned or self.column_name("image_hash") is not None
        if need == "content":
            return self._scanned or self.column_name("embedding") is not None or self.has("text")
        if need == "source":
            return len(np.unique(self.sources)) > 1
        if need == "length":
            return self._scanned or self.column_name("length") is not None
        return self.column_name(need) is not None

    def column(self, what: str) -> Column | None:
        """The column known by one of the names of ``what``, or None."""
        name = self.column_name(what)
        return None if name is None else self.column_named(name)

    def column_name(self, what: str) -> str | None:
        """Which of the names of ``what`` the pool has."""
        return next((n for n in NAMES.get(what, ()) if n in self.names), None)

    def column_named(self, name: str) -> Column:
        """The column of exactly this name."""
        if name not in self._columns:
            column = self.pairs.column(name)
            if isinstance(column, Features):
                return column
            self._columns[name] = column
        return self._columns[name]

    def features(self, what: str) -> Features:
        """Vectors that a pool in DataComp's layout ships.

        Raises:
            LookupError: it has none by one of the names of ``what``.
        """
        column = self.column(what)
        if not isinstance(column, Features):
            raise LookupError(f"the pool has no column for {what!r}")
        return column

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
        if column is None and self._pairs is not None and "url" in self._pairs.names:
            return self._pairs.domains()
        return np.full(self.size, "") if column is None else np.asarray(column, dtype=np.str_)

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
        """Text and image of each row; of a pair the caption alone."""
        if self._pairs is None:
            return [row_of(record) for record in self.records()]
        rows = [Row(image=None, text="", question="")] * self.size
        for places, texts in self._pairs.texts():
            for place, text in zip(places.tolist(), texts, strict=True):
                rows[place] = Row(image=None, text=words(text), question="")
        return rows

    def parts(self, rows: NDArray[np.int64], at_once: int) -> Iterator[NDArray[np.int64]]:
        """Places in ``rows``, some at a time, so that their vectors are read in the order they are stored in."""
        if self._pairs is None:
            order, ends = np.arange(len(rows)), np.arange(at_once, len(rows), at_once)
        else:
            file, _ = self._pairs.lines_of(rows)
            order = np.argsort(file, kind="stable")
            ends = np.flatnonzero(np.diff(file[order])) + 1
        yield from (part for part in np.split(order, ends) if len(part))

    def file(self, what: str) -> Path | None:
        """Where one of `FILES` lies."""
        places = (place / FILES[what] for place in (*self._extra, self.folder))
        return next((path for path in places if path.exists()), None)

    def lines(self, what: str) -> list[str]:
        """The lines of one of `FILES`, without empty ones.

        Raises:
            LookupError: there is no such file.
        """
        path = self.file(what)
        if path is None:
            raise LookupError(f"there is no {FILES[what]}")
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every row as it stands in the file."""
        return records(self.folder / ROWS)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
