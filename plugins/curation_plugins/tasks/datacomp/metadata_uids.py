"""All uids of a pool's metadata, sorted, and where each stands in the files; 20 bytes a uid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.metadata import count_rows, uid_halves
from curation_plugins.uids.digits import pairs
from curation_plugins.uids.table import Halves, Ranks, order_of, search

MOST: Final = 2**32 - 1
"""Rows; a place is held in 32 bits."""


class MetadataUids:
    """The different uids of metadata files, ascending by (high half, low half)."""

    def __init__(self, files: Sequence[Path]) -> None:
        """
        Raises:
            AssetsInvalid: a file cannot be read or holds what is no uid, or there are too many rows.
        """
        self.rows = tuple(count_rows(file) for file in files)
        self._begins = np.concatenate([[0], np.cumsum(self.rows)])
        total = int(self._begins[-1])
        if total > MOST:
            raise AssetsInvalid(
                f"the metadata has {total:,} rows; there is room for {MOST:,}", hint="Take a part of it."
            )
        high, low = np.empty(total, np.uint64), np.empty(total, np.uint64)
        for begin, file in zip(self._begins[:-1].tolist(), files, strict=True):
            for row, some_high, some_low in uid_halves(file):
                part = slice(begin + row, begin + row + len(some_high))
                high[part], low[part] = some_high, some_low
        order = order_of(high, low)
        high = high[order]
        self._order = order.astype(np.uint32)
        del order
        self._high, self._low = high, low[self._order]
        del low
        self._drop_repeats()

    def __len__(self) -> int:
        """How many different uids there are."""
        return len(self._high)

    def _drop_repeats(self) -> None:
        """Of equal uids the first in the files stays."""
        repeated = self._high[1:] == self._high[:-1]
        repeated &= self._low[1:] == self._low[:-1]
        if repeated.any():
            kept = np.concatenate([[True], ~repeated])
            self._high, self._low, self._order = self._high[kept], self._low[kept], self._order[kept]

    def find(self, high: Halves, low: Halves) -> Ranks:
        """Rank of each uid, int64 of shape (k,); -1: not in the table."""
        return search(self._high, self._low, high, low)

    def uids(self, part: slice) -> NDArray[np.void]:
        """Uids of some ranks, dtype ``u8,u8``."""
        return pairs(self._high[part], self._low[part])

    def places(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Number of the file, and of the row in it, of some ranks."""
        order = self._order[part].astype(np.int64)
        file = np.searchsorted(self._begins, order, "right") - 1
        return file, order - self._begins[file]
