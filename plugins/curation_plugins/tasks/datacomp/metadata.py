"""DataComp's metadata files, read in streams: uids, and columns by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curation_plugins.errors import AssetsInvalid
from curation_plugins.uids.digits import DIGITS, halves
from curation_plugins.uids.table import Halves

if TYPE_CHECKING:
    import pyarrow as pa

BATCH: Final = 2**16
"""Rows that are read at once: bounds memory."""
_WHERE: Final = "The metadata files are those of DataComp's download_upstream.py (uid: 32 hexadecimal digits)."


def metadata_files(folder: Path) -> tuple[Path, ...]:
    """The metadata files by name; a file's number is its place here.

    Raises:
        AssetsInvalid: there is none.
    """
    files = tuple(sorted(folder.glob("*.parquet")))
    if not files:
        raise AssetsInvalid(f"{folder} holds no *.parquet", hint=_WHERE)
    return files


def count_rows(file: Path) -> int:
    """Rows of a metadata file, by its footer."""
    with _opened(file, ("uid",)) as opened:
        return int(opened.metadata.num_rows)


def has_column(file: Path, name: str) -> bool:
    """Whether a metadata file has this column."""
    with _opened(file, ()) as opened:
        return name in opened.schema_arrow.names


def batches(file: Path, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of the first row, some rows) of a metadata file, in order.

    Raises:
        AssetsInvalid: no parquet, or a column is missing.
    """
    import pyarrow as pa

    with _opened(file, names) as opened:
        row = 0
        try:
            for batch in opened.iter_batches(BATCH, columns=list(names), use_threads=False):
                yield row, batch
                row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, f"row {row}: {error}") from None


def _opened(file: Path, names: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, str(error)) from None
    lacking = [name for name in names if name not in opened.schema_arrow.names]
    if lacking:
        opened.close()
        raise AssetsInvalid(f"{file} has no column {', '.join(lacking)}", hint=_WHERE)
    return opened


def _unreadable(file: Path, why: str) -> AssetsInvalid:
    return AssetsInvalid(f"{file} cannot be read ({why[:300]})", hint="Fetch it again.")


def uid_halves(file: Path) -> Iterator[tuple[int, Halves, Halves]]:
    """(number of the first row, high halves, low halves) of a file's uids, uint64 of shape (k,).

    Raises:
        AssetsInvalid: a uid that is none, with its row.
    """
    for row, batch in batches(file, ("uid",)):
        high, low, bad = _halves(batch.column(0))
        if bad is not None:
            raise AssetsInvalid(f"{file}, row {row + bad}: no uid of 32 hexadecimal digits", hint=_WHERE)
        yield row, high, low


def _halves(column: pa.Array) -> tuple[Halves, Halves, int | None]:
    """High and low halves of uids in hexadecimal, and the place of the first that is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = column.cast(pa.large_binary())
    right = pc.equal(pc.binary_length(text), DIGITS).fill_null(False)
    if not pc.all(right, min_count=0).as_py():
        empty = np.zeros(0, np.uint64)
        return empty, empty, int(pc.index(right, False).as_py())
    start = np.frombuffer(text.buffers()[1], np.int64)[text.offset] if len(text) else 0
    raw = np.frombuffer(text.buffers()[2] or b"", np.uint8)[start : start + DIGITS * len(text)]
    high, low, good = halves(raw.reshape(-1, DIGITS))
    return high, low, None if good.all() else int(good.argmin())
