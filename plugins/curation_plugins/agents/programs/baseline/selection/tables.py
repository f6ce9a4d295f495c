"""Columns of the tables in a pool, one entry per pool row."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

Column = Any
"""One entry per row: floats (NaN where undefined), strings, or one vector per row; an array, or ``Features``."""
RowsOf = Callable[[list[str]], NDArray[np.int64]]
"""The row of each uid; -1 for one that is not in the pool."""


def read_columns(folder: Path, rows_of: RowsOf | None = None, rows: int = 0) -> dict[str, Column]:
    """Every column of every table in ``folder`` and its folder ``signals``.

    Parquet, CSV, NumPy archives and single arrays (named after their file). The first table to have
    a name wins. Tables are in the pool's order, or say each line's ``row``, or its ``uid`` where
    ``rows_of`` is given.

    Args:
        rows: of the pool, for tables by uid: these may be about some of its rows only.
    """
    columns: dict[str, Column] = {}
    for path in sorted([*folder.glob("*.*"), *folder.glob("signals/*.*")]):
        if path.suffix not in _READERS:
            continue
        table = _READERS[path.suffix](path)
        if rows_of is not None and "uid" in table:
            place = rows_of([str(uid) for uid in table.pop("uid")])
            table = {name: _placed(column, place, rows) for name, column in table.items()}
        order = table.pop("row", None)
        for name, column in table.items():
            columns.setdefault(name, column if order is None else _by_row(column, order))
    return columns


def read_bought(history: Path, rows: int) -> dict[str, Column]:
    """What the host measured in this run, from the folder that it shows policies as ``/history``: name → one entry
    for each of ``rows`` rows, undefined where none was measured."""
    columns: dict[str, Column] = {}
    for path in sorted(history.glob("signals/*.jsonl")):
        values: list[Any] = [None] * rows
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                measured = json.loads(line)
                values[measured["row"]] = measured["value"]
        columns[path.stem] = from_values(values)
    return columns


def write_archive(path: Path, columns: Mapping[str, Column]) -> None:
    """Keep columns in a NumPy archive that ``read_columns`` reads back."""
    arrays: dict[str, Any] = dict(columns)
    np.savez_compressed(path, **arrays)


def from_values(values: list[Any]) -> Column:
    """A column of Python values, as JSON or Parquet has them: numbers, strings, lists or None."""
    known = [value for value in values if value is not None]
    if known and isinstance(known[0], list | tuple | np.ndarray):
        matrix = np.full((len(values), len(known[0])), np.nan)
        for place, value in enumerate(values):
            if value is not None:
                matrix[place] = value
        return matrix
    if known and isinstance(known[0], str | bytes):
        return np.array(["" if value is None else str(value) for value in values])
    if known and all(isinstance(value, int) for value in known) and len(known) == len(values):
        return np.array(values)  # 64-bit hashes would lose bits as floats
    return np.array([np.nan if value is None else float(value) for value in values])


def _parquet(path: Path) -> dict[str, Column]:
    table = parquet.read_table(path)
    return {name: from_values(table.column(name).to_pylist()) for name in table.column_names}


def _csv(path: Path) -> dict[str, Column]:
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        names = next(lines, [])
        columns = list(zip(*lines, strict=True))
    return {name: _parsed(name, values) for name, values in zip(names, columns, strict=True)}


def _parsed(name: str, values: Sequence[str]) -> Column:
    """Numbers where every entry is one or empty; a hash stays text, whatever its digits."""
    try:
        if "hash" not in name.lower():
            return np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        pass
    return np.array(values)


def _archive(path: Path) -> dict[str, Column]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _array(path: Path) -> dict[str, Column]:
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}  # read where it is used


def _by_row(column: Column, order: Column) -> Column:
    """Put entries where their row ids say; a table may be sorted in another way than the pool."""
    placed = np.empty_like(column)
    placed[order.astype(np.int64)] = column
    return placed


def _placed(column: Column, place: NDArray[np.int64], rows: int) -> Column:
    """Put entries where their rows are; undefined elsewhere."""
    text = column.dtype.kind == "U"
    out = np.full((rows, *column.shape[1:]), "" if text else np.nan, dtype=column.dtype if text else np.float64)
    out[place[place >= 0]] = column[place >= 0]
    return out


_READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".npz": _archive,
    ".npy": _array,
}
