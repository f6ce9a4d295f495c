"""Benchmark files: tab-separated, one row an item, images inside as base64.

The layout is VLMEvalKit's (dataset/image_base.py L146-294): `index`, `image`, `question`, `answer`, options `A`, `B`
and on, `hint`, `category`, `l2-category`, `split` and columns of a benchmark's own. Files are written by pandas:
fields that hold tabs, line breaks or quotes are quoted, quotes inside doubled.

A row may be many megabytes, a file gigabytes: rows are read one at a time, and nothing is read before the file's hash
was found right.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.score import Frozen

_CELL_BYTES = 256 * 2**20
_BLOCK = 1 << 20
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MISSING = frozenset({"", "nan", "NaN"})
_FETCH = "Fetch the task's files again; a file from another release needs its own task with its own hash."

Row = Mapping[str, str]
"""Column to text; a missing value is the empty text."""


class TsvFile(Frozen):
    """A benchmark's file and what it must hash to."""

    path: Path
    digest: str
    """`sha256:<64 hex>` or `md5:<32 hex>`; VLMEvalKit publishes MD5."""

    def rows(self, required: Sequence[str]) -> Iterator[Row]:
        """The rows in file order.

        Args:
            required: columns that must be there.

        Raises:
            AssetsInvalid: no such file, another hash, a missing column, a row that breaks off, an index twice.
        """
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise AssetsInvalid(
                f"The benchmark file {self.path.name} cannot be read: {error.strerror}", hint=_FETCH
            ) from None
        with file:
            self._verify(file)
            file.seek(0)
            yield from _rows(file, self.path.name, required)

    def _verify(self, file: BinaryIO) -> None:
        found = file_digest(file, self.digest)
        if found != self.digest.lower():
            raise AssetsInvalid(
                f"The benchmark file {self.path.name} is not the expected one: {found} instead of {self.digest}. "
                "A question, an answer or an image in it may have been changed",
                hint=_FETCH,
            )


def file_digest(file: BinaryIO, like: str) -> str:
    """The file's hash, written as `like` is (`algorithm:hex`).

    Raises:
        AssetsInvalid: `like` is not `sha256:…` or `md5:…` with a full hash.
    """
    algorithm, _, wanted = like.partition(":")
    lengths = {"sha256": 64, "md5": 32}
    if algorithm not in lengths or not re.fullmatch(rf"[0-9a-fA-F]{{{lengths.get(algorithm, 0)}}}", wanted):
        raise AssetsInvalid(f"{like!r} is no hash of a benchmark file", hint="Write sha256:<64 hex> or md5:<32 hex>.")
    state = hashlib.new(algorithm, usedforsecurity=False)
    while block := file.read(_BLOCK):
        state.update(block)
    return f"{algorithm}:{state.hexdigest()}"


def _rows(file: BinaryIO, name: str, required: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_BYTES))
    reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), delimiter="\t", strict=True)
    seen: set[str] = set()
    try:
        header = next(reader, [])
        lacking = [column for column in ("index", *required) if column not in header]
        if lacking:
            raise AssetsInvalid(f"{name} has no column {', '.join(lacking)}; it has {', '.join(header)}", hint=_FETCH)
        for number, cells in enumerate(reader, start=1):
            if len(cells) != len(header):
                raise AssetsInvalid(f"{name}, row {number}: {len(cells)} cells instead of {len(header)}", hint=_FETCH)
            row = dict(zip(header, cells, strict=True))
            if not row["index"] or row["index"] in seen:
                raise AssetsInvalid(
                    f"{name}, row {number}: index {row['index']!r} is empty or comes twice", hint=_FETCH
                )
            seen.add(row["index"])
            yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise AssetsInvalid(f"{name} breaks off or is no table: {error}", hint=_FETCH) from None


def cell(row: Row, column: str) -> str:
    """The text of a column; empty if the column or the value is missing (empty, "nan" or "NaN").

    pandas, and so VLMEvalKit, also takes "None", "NA", "N/A" and "null" for missing, and with them drops options of
    that text; here they are options like any other.
    """
    text = row.get(column, "")
    return "" if text in _MISSING else text


def options(row: Row) -> dict[str, str]:
    """Option letter to text, of the columns `A` to `Z` that have a value."""
    return {letter: text for letter in _LETTERS if (text := cell(row, letter))}


def first_of(row: Row, *columns: str) -> str:
    """The first of several columns that has a value: some files write `l2_category` for `l2-category`."""
    return next((text for column in columns if (text := cell(row, column))), "")
