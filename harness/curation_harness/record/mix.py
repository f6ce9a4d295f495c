"""Which sources rows come from, counted."""

from __future__ import annotations

from array import array

import numpy as np


def counts(sources: np.ndarray) -> dict[str, int]:
    """Entries by name, in the order in which names come first.

    Args:
        sources: strings of shape (n,).
    """
    names, first, number = np.unique(sources, return_index=True, return_counts=True)
    return {str(names[place]): int(number[place]) for place in np.argsort(first)}


def mix_of(rows: array[int], sources: np.ndarray) -> dict[str, int]:
    """Rows by source; those that have none are left out.

    Args:
        rows: ascending ids, type code ``q``.
        sources: source of every row of the pool, strings of shape (rows,).
    """
    ids = np.frombuffer(rows, np.int64)
    return counts(sources[ids[ids < len(sources)]])
