"""A pool of DataComp's layout, opened by row: where each row's pair lies in the shards, and its metadata.

Row ids are ranks of reachable uids. The index is three arrays that are read through memory maps, so that a process
holds of them what it touches: 52 bytes a row, 665 MB for the 12.8 million of the small scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout, metadata
from curation_plugins.tasks.datacomp.manifest import read_manifest
from curation_plugins.tasks.datacomp.pair_bytes import Files, Reader
from curation_plugins.uids.table import UID

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE: Final = np.dtype(
    [("shard", "<u4"), ("image", "<u8"), ("image_bytes", "<u4"), ("text", "<u8"), ("text_bytes", "<u4")]
)
"""Number of the shard; offset and length of image and of text in it, bytes."""
PLACE: Final = np.dtype([("file", "<u4"), ("row", "<u4")])
"""Number of the metadata file, and of the row in it."""

_CHUNK: Final = 2**20
"""Rows that are looked up at once."""
_STALE: Final = "Remove the assets folder and make it again: the index belongs to the files it was made from."


class PoolIndex:
    """Rows of a pool. Not for several threads at once: each takes its own."""

    def __init__(self, assets: Path) -> None:
        """
        Raises:
            AssetsInvalid: no index, or a shard is not of the size it was indexed with.
        """
        self.manifest = read_manifest(layout.manifest(assets))
        self.uids = _mapped(layout.uids(assets), UID)
        """Sorted, shape (rows,)."""
        self._samples_file = layout.samples(assets)
        self.samples = _mapped(self._samples_file, SAMPLE)
        """Shape (rows,)."""
        self.places = _mapped(layout.places(assets), PLACE)
        """Shape (rows,)."""
        self.shards = tuple(layout.shards(assets) / shard.name for shard in self.manifest.shards)
        """By number."""
        self.metadata = tuple(layout.metadata(assets) / file.name for file in self.manifest.metadata)
        """By number."""
        if not len(self.uids) == len(self.samples) == len(self.places) == self.manifest.reachable:
            raise AssetsInvalid(f"{layout.uids(assets).parent} does not fit its manifest", hint=_STALE)
        self._require_shards()
        self._reader = Reader(Files(self.shards, self.samples))

    @property
    def rows(self) -> int:
        """How many rows the pool has."""
        return len(self.uids)

    def _require_shards(self) -> None:
        for path, known in zip(self.shards, self.manifest.shards, strict=True):
            size = path.stat().st_size if path.exists() else None
            if size != known.bytes:
                found = "gone" if size is None else f"{size} bytes long"
                raise AssetsInvalid(f"{path} is {found} and was {known.bytes} when it was indexed", hint=_STALE)

    def image(self, row: int) -> bytes:
        """The row's image file."""
        return self._whole(self._reader.image(row), row, "image_bytes")

    def text(self, row: int) -> str:
        """The row's caption; bytes that are no UTF-8 are replaced."""
        return self._whole(self._reader.raw_text(row), row, "text_bytes").decode("utf-8", "replace")

    def _whole(self, data: bytes, row: int, size: str) -> bytes:
        if len(data) != self.samples[row][size]:
            raise AssetsInvalid(
                f"{self.shards[self.samples[row]['shard']]} was cut since it was indexed", hint=_STALE
            )
        return data

    def along_the_shards(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Places among ``rows`` (0 is the first of them) in the order in which their pairs lie in the shards. Rows
        themselves are in the order of uids, which are hashes: neighbours lie anywhere.

        Memory: 20 bytes a row while it is made, 4 of what comes out.
        """
        keys = np.empty(len(rows), np.uint64)
        width = np.uint64(max((shard.bytes for shard in self.manifest.shards), default=0).bit_length())
        for begin in range(0, len(rows), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            # a map of its own each time: what was read of another one stays in memory
            some = _mapped(self._samples_file, SAMPLE)[rows[part]]
            keys[part] = some["shard"].astype(np.uint64) << width | some["image"]
        return np.argsort(keys).astype(np.uint32)

    def close(self) -> None:
        """Closes the shards."""
        self._reader.close()

    def __enter__(self) -> PoolIndex:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    @cached_property
    def _by_place(self) -> np.ndarray:
        """Rows in the order of the metadata files, uint32."""
        keys = self.places["file"].astype(np.uint64) << np.uint64(32)
        keys |= self.places["row"]
        order = np.argsort(keys)
        del keys
        return order.astype(np.uint32)

    def _of_file(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a metadata file in its order, and where they stand in it."""
        order = self._by_place
        begin, end = _span(self.places, order, number)
        rows = order[begin:end].astype(np.int64)
        return rows, self.places["row"][rows].astype(np.int64)

    def batches(self, names: Sequence[str]) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """(rows, their metadata) in the files' order, each row once: int64 of shape (k,), and k entries of columns.

        Memory is that of a batch and 4 bytes a row.

        Raises:
            AssetsInvalid: a file cannot be read, or lacks a column.
        """
        import pyarrow as pa

        for number, file in enumerate(self.metadata):
            rows, at = self._of_file(number)
            for begin, batch in metadata.batches(file, names):
                some = slice(*np.searchsorted(at, (begin, begin + batch.num_rows)))
                if some.start < some.stop:
                    yield rows[some], batch.take(pa.array(at[some] - begin))

    def has_column(self, name: str) -> bool:
        """Whether the metadata has it."""
        return metadata.has_column(self.metadata[0], name)

    def columns(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Columns of the metadata in the order of rows, shape (rows,); strings as objects, which large pools should
        rather read with ``batches``."""
        out: dict[str, np.ndarray] = {}
        for rows, batch in self.batches(names):
            for name, column in zip(names, batch.columns, strict=True):
                values = column.to_numpy(zero_copy_only=False)
                if name not in out:
                    out[name] = np.empty(self.rows, values.dtype)
                elif out[name].dtype != values.dtype:  # whole numbers with gaps come as floats
                    out[name] = out[name].astype(np.result_type(out[name], values))
                out[name][rows] = values
        return out

    def text_lengths(self) -> np.ndarray:
        """Characters of each row's caption, int32 of shape (rows,); 0 where there is none."""
        import pyarrow.compute as pc

        out = np.zeros(self.rows, np.int32)
        for rows, batch in self.batches(("text",)):
            out[rows] = pc.utf8_length(batch.column(0)).fill_null(0).to_numpy(zero_copy_only=False)
        return out

    def features(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, values) of one feature (``b32_img``, ``b32_txt``, ``l14_img``, ``l14_txt``, ``dedup``) of each
        metadata file: int64 of shape (k,), and float of shape (k, width). Memory is that of one file's array.

        Raises:
            AssetsInvalid: a metadata file has no features, or not of this name or number.
        """
        for number, file in enumerate(self.metadata):
            rows, at = self._of_file(number)
            stored = file.with_suffix(".npz")
            values = _feature(stored, name)
            if len(values) != self.manifest.metadata[number].rows:
                raise AssetsInvalid(f"{stored}: {name} has {len(values)} rows, and {file.name} has others")
            yield rows, values[at]


def _span(places: np.ndarray, order: np.ndarray, number: int) -> tuple[int, int]:
    """Where a file's rows begin and end in ``order``, by halving."""

    def first(wanted: int) -> int:
        begin, end = 0, len(order)
        while begin < end:
            middle = (begin + end) // 2
            if places[order[middle]]["file"] < wanted:
                begin = middle + 1
            else:
                end = middle
        return begin

    return first(number), first(number + 1)


def _feature(file: Path, name: str) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except (OSError, ValueError, KeyError) as error:
        raise AssetsInvalid(f"{file} has no feature {name} ({error})", hint="Fetch the features again.") from None


def _mapped(path: Path, dtype: np.dtype[np.void]) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AssetsInvalid(f"{path} cannot be read ({error})", hint=_STALE) from None
    if array.dtype != dtype or array.ndim != 1:
        raise AssetsInvalid(f"{path} has dtype {array.dtype} and not {dtype}", hint=_STALE)
    return array
