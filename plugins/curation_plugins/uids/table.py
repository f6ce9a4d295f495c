"""Uids as pairs of 64-bit numbers: their order, and the search for many of them at once.

A uid of 32 hexadecimal digits is (first 16, last 16); NumPy's own order and search of such pairs compare
them one by one. Here the first halves are sorted and searched as plain numbers; the second halves are looked at only
where the first are equal, which of hashes is next to never.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.uint64]
Ranks = NDArray[np.int64]

UID: Final = np.dtype("u8,u8")
"""DataComp's: field ``f0`` is the number of the first 16 digits, ``f1`` that of the last."""
CHUNK: Final = 2**20
"""Uids that are worked on at once: bounds memory."""


def order_of(high: Halves, low: Halves) -> Ranks:
    """Places in ascending order of (high, low), equal uids by place; each of shape (n,)."""
    order = np.argsort(high, kind="stable")
    equal = high[order[1:]] == high[order[:-1]]
    if equal.any():
        tied = np.flatnonzero(np.concatenate([[False], equal]) | np.concatenate([equal, [False]]))
        some = order[tied]
        order[tied] = some[np.lexsort((some, low[some], high[some]))]
    return order


def first_descent(high: Halves, low: Halves) -> int | None:
    """The first place whose uid is smaller than the one before; none: they ascend."""
    down = (high[1:] < high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] < low[:-1]))
    return int(np.argmax(down)) + 1 if down.any() else None


def search(table_high: Halves, table_low: Halves, high: Halves, low: Halves) -> Ranks:
    """Place of each uid in a table, int64 of shape (k,); -1: it is not in it. Fastest where ``high`` ascends.

    Args:
        table_high: ascending by (high, low), shape (n,). table_low: likewise.
    """
    if not len(table_high):
        return np.full(len(high), -1, np.int64)
    begin = np.searchsorted(table_high, high, "left")
    place = np.minimum(begin, len(table_high) - 1)
    found = (table_high[place] == high) & (table_low[place] == low)
    rest = np.flatnonzero(~found & (table_high[place] == high))
    if len(rest):
        place[rest], found[rest] = _among_equal(table_high, table_low, high[rest], low[rest], begin[rest])
    return np.where(found, place, -1)


def _among_equal(
    table_high: Halves, table_low: Halves, high: Halves, low: Halves, begin: Ranks
) -> tuple[Ranks, NDArray[np.bool_]]:
    """Where the second halves stand among equal first ones, by halving; and whether they do."""
    last = np.searchsorted(table_high, high, "right")
    end = last.copy()
    while (is_open := begin < end).any():
        middle = np.minimum((begin + end) // 2, len(table_low) - 1)
        less = table_low[middle] < low
        begin = np.where(is_open & less, middle + 1, begin)
        end = np.where(is_open & ~less, middle, end)
    place = np.minimum(begin, len(table_low) - 1)
    return place, (begin < last) & (table_low[place] == low)


class UidTable:
    """A sorted file of uids, in memory: 16 bytes each."""

    def __init__(self, path: Path) -> None:
        """Args:
        path: ``.npy`` file of ours, dtype ``UID``, shape (n,), ascending.
        """
        size = len(np.load(path, mmap_mode="r", allow_pickle=False))
        self.high, self.low = np.empty(size, np.uint64), np.empty(size, np.uint64)
        for start, part in pieces(path):
            self.high[start : start + len(part)], self.low[start : start + len(part)] = part["f0"], part["f1"]

    def __len__(self) -> int:
        return len(self.high)

    def find(self, high: Halves, low: Halves) -> Ranks:
        """Rank of each uid; -1: it is not in the table."""
        return search(self.high, self.low, high, low)


def pieces(path: Path) -> Iterator[tuple[int, NDArray[np.void]]]:
    """A file of uids of ours, some at a time: the place of the first, and the uids. Nothing of it stays mapped."""
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    size, offset = len(mapped), mapped.offset
    del mapped
    for start in range(0, size, CHUNK):
        count = min(CHUNK, size - start)
        yield start, np.fromfile(path, UID, count, offset=offset + start * UID.itemsize)
