"""Which rows share a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

MEGABATCH = 16
"""Batches whose rows are sorted by length together; LLaVA sorts within megabatches too."""


def batches(
    lengths: Sequence[int], size: int, steps: int, seed: int, *, grouped: bool
) -> Iterator[NDArray[np.int64]]:
    """Index arrays for `steps` batches of `size` rows, going round the rows as often as needed.

    Every row is used once before any is used again. With `grouped`, a run of `MEGABATCH` batches is sorted by
    length, cut into batches, and the batches are shuffled, so that little of a batch is padding. A function
    of its arguments only.
    """
    rng = np.random.default_rng([seed, 1])
    order = _endless(len(lengths), rng)
    sizes = np.asarray(lengths)
    left = steps
    while left > 0:
        count = min(MEGABATCH, left)
        chunk = np.fromiter((next(order) for _ in range(count * size)), dtype=np.int64)
        if grouped:
            chunk = chunk[np.argsort(sizes[chunk], kind="stable")]
        parts = chunk.reshape(count, size)
        yield from (parts[rng.permutation(count)] if grouped else parts)
        left -= count


def _endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()
