"""The pools in DataComp's layout: ``metadata/*.parquet``, and features in an ``.npz`` beside each.

A row's id is the rank of its uid among the uids whose picture can be had (those not in ``unreachable.npy``); that is
how the host counts, too. Columns are read when a method asks for them, captions and features a file at a time: the
pool of DataComp's small track has 12.8 million pairs and 75 GB of features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

METADATA = "metadata"
UNREACHABLE = "unreachable.npy"
UID = np.dtype("u8,u8")
"""A uid's 32 hexadecimal digits as two numbers: the form of DataComp's subset files."""
_DIGITS = 32
_BATCH = 10_000
"""Captions that are looked at together."""

Ids = NDArray[np.int64]


class PoolUnreadable(Exception):
    """The pool's rows could not be told from its files."""


class Pairs:
    """A pool in DataComp's layout.

    Raises:
        PoolUnreadable: a file is damaged, or holds no uids.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sorted((folder / METADATA).glob("*.parquet"))
        parts = [_uids(path) for path in self.files]
        self._starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        every = np.concatenate(parts)
        del parts  # of a large pool two copies at once are enough
        order = np.lexsort((every["f1"], every["f0"])).astype(np.int32)
        every = every[order]
        kept = np.ones(len(every), dtype=np.bool_)
        kept[1:] = every[1:] != every[:-1]
        if (folder / UNREACHABLE).exists():
            kept &= ~_among(every, np.load(folder / UNREACHABLE, allow_pickle=False))
        whole = bool(kept.all())
        self.uids: NDArray[np.void] = every if whole else every[kept]
        """Of each row, ascending, shape (rows,), dtype ``u8,u8``."""
        self._place = order if whole else order[kept]  # of each row among all lines of all files
        self.size = len(self.uids)

    @staticmethod
    def here(folder: Path) -> bool:
        """Whether a folder is such a pool."""
        return any((folder / METADATA).glob("*.parquet"))

    @cached_property
    def names(self) -> dict[str, str]:
        """Every column by its name in lower case, as the first file has it; features where each file has some."""
        names = {str(name).lower(): str(name) for name in parquet.read_schema(self.files[0]).names}
        beside = [path.with_suffix(".npz") for path in self.files]
        if all(path.exists() for path in beside):
            with np.load(beside[0], allow_pickle=False) as archive:
                names |= {name.lower(): name for name in archive.files}
        return names

    def column(self, name: str) -> NDArray[Any] | Features:
        """A column by one of `names`: numbers keep their type (NaN where undefined), text is text."""
        own = self.names[name]
        if own not in parquet.read_schema(self.files[0]).names:
            return Features(self, own)
        out: NDArray[Any] | None = None
        for number, path in enumerate(self.files):
            values = parquet.read_table(path, columns=[own]).column(0)
            part = np.array(values.to_pylist(), dtype=np.str_) if _is_text(values) else values.to_numpy()
            rows = self.rows_of_file(number)
            if out is None:
                kind = part.dtype if part.dtype.kind in "fU" else np.dtype(np.float64)
                out = np.full(self.size, "" if kind.kind == "U" else np.nan, dtype=kind)
            if out.dtype.kind == "U" and part.dtype.itemsize > out.dtype.itemsize:
                out = out.astype(part.dtype)
            out[rows[rows >= 0]] = part[rows >= 0]
        assert out is not None
        return out

    def rows_of_file(self, number: int) -> Ids:
        """The row of each line of a metadata file; -1 for one that nobody can choose."""
        return self._rank[self._starts[number] : self._starts[number + 1]].astype(np.int64)

    @cached_property
    def _rank(self) -> NDArray[np.int32]:
        rank = np.full(int(self._starts[-1]), -1, dtype=np.int32)
        rank[self._place] = np.arange(self.size, dtype=np.int32)
        return rank

    def lines_of(self, rows: Ids) -> tuple[Ids, Ids]:
        """The file of each row, and its line there."""
        place = self._place[rows].astype(np.int64)
        file = np.searchsorted(self._starts, place, side="right") - 1
        return file, place - self._starts[file]

    def rows_of(self, uids: list[str]) -> Ids:
        """The row of each uid, given as 32 hexadecimal digits; -1 for one that is not in the pool."""
        wanted = of_hex(uids)
        place = np.minimum(np.searchsorted(self.uids, wanted), max(0, self.size - 1))
        return np.where(self.uids[place] == wanted, place, -1) if self.size else np.full(len(uids), -1)

    def texts(self, name: str = "text") -> Iterator[tuple[Ids, list[str]]]:
        """The captions of the rows (or another column of text), some thousands at a time; "" where there is none."""
        for number, path in enumerate(self.files):
            rows, start = self.rows_of_file(number), 0
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH, columns=[self.names[name]]):
                    here = rows[start : start + len(batch)]
                    said = [text or "" for text in batch.column(0).to_pylist()]
                    start += len(batch)
                    yield here[here >= 0], [text for row, text in zip(here, said, strict=True) if row >= 0]

    def mask(self, rule: Callable[[list[str]], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """For which rows a rule holds that looks at captions, shape (rows,)."""
        out = np.zeros(self.size, dtype=np.bool_)
        for rows, said in self.texts():
            out[rows] = rule(said)
        return out

    def domains(self) -> NDArray[np.str_]:
        """The host name of each row's address; "" where it is none."""
        out = np.full(self.size, "", dtype=object)
        for rows, urls in self.texts("url"):
            out[rows] = [_domain(url) for url in urls]
        return out.astype(np.str_)

    def subset(self, rows: Ids) -> bytes:
        """A DataComp subset file of some rows: sorted uids as ``.npy``; a row that is named twice counts twice."""
        file = BytesIO()
        np.save(file, self.uids[np.sort(rows)])
        return file.getvalue()


class Features:
    """A column of vectors, left where it is: ``column[rows]`` reads some, `blocks` all of them, a file at a time."""

    def __init__(self, pairs: Pairs, name: str) -> None:
        self._pairs = pairs
        self._name = name

    def __len__(self) -> int:
        return self._pairs.size

    def __getitem__(self, rows: Ids) -> NDArray[Any]:
        """Shape (rows, width), in the type of the file."""
        file, line = self._pairs.lines_of(np.asarray(rows, dtype=np.int64))
        out: NDArray[Any] | None = None
        for number in np.unique(file).tolist():
            values = self._read(number)
            if out is None:
                out = np.zeros((len(rows), values.shape[1]), dtype=values.dtype)
            out[file == number] = values[line[file == number]]
        return self._read(0)[:0] if out is None else out

    def blocks(self) -> Iterator[tuple[Ids, NDArray[Any]]]:
        """Rows and their vectors, a file at a time."""
        for number in range(len(self._pairs.files)):
            rows = self._pairs.rows_of_file(number)
            yield rows[rows >= 0], self._read(number)[rows >= 0]

    def _read(self, number: int) -> NDArray[Any]:
        path = self._pairs.files[number].with_suffix(".npz")
        with np.load(path, allow_pickle=False) as archive:
            values: NDArray[Any] = archive[self._name]
        lines = len(self._pairs.rows_of_file(number))
        if len(values) != lines:
            raise PoolUnreadable(f"{path}: {self._name} has {len(values)} vectors for {lines} lines of metadata")
        return values


def of_hex(uids: list[str]) -> NDArray[np.void]:
    """Uids of 32 hexadecimal digits as ``u8,u8``.

    Raises:
        ValueError: one is something else.
    """
    digits = np.frombuffer("".join(uids).encode("ascii"), dtype=np.uint8)
    if len(digits) != _DIGITS * len(uids) or any(len(uid) != _DIGITS for uid in uids):
        raise ValueError("a uid has not 32 digits")
    nibbles = _NIBBLE[digits]
    if np.any(nibbles > 15):
        raise ValueError("a uid has other signs than hexadecimal digits")
    bytes_of = (nibbles[0::2] << 4 | nibbles[1::2]).reshape(len(uids), _DIGITS // 2)
    halves = bytes_of.view(">u8").astype(np.uint64)
    out = np.zeros(len(uids), dtype=UID)
    out["f0"], out["f1"] = halves[:, 0], halves[:, 1]
    return out


_NIBBLE = np.full(256, 16, dtype=np.uint8)
for _value, _digit in enumerate("0123456789abcdef"):
    _NIBBLE[[ord(_digit), ord(_digit.upper())]] = _value


def _uids(path: Path) -> NDArray[np.void]:
    try:
        return of_hex(parquet.read_table(path, columns=["uid"]).column(0).to_pylist())
    except (OSError, ValueError, TypeError) as error:
        raise PoolUnreadable(f"{path}: {error}") from None


def _among(every: NDArray[np.void], some: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which of the sorted ``every`` are in ``some``; of equal ones the first."""
    first, end = np.searchsorted(every, some), np.searchsorted(every, some, side="right")
    found = np.zeros(len(every), dtype=np.bool_)
    found[first[end > first]] = True
    return found


def _domain(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # addresses of the web may be anything
        return ""


def _is_text(values: Any) -> bool:
    return "string" in str(values.type)
