"""Which pair comes when: a function of the selection, the recipe's shuffling and the seed, and of nothing else."""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

_STREAM: Final = 2
"""Keeps this use of a seed apart from others."""


class Order:
    """An endless sequence of the selection's places (0 is its first row), pass after pass.

    In each pass every place comes as often as its weight says, shuffled anew.
    """

    def __init__(
        self,
        repeats: NDArray[np.integer[Any]],
        seed: int,
        window: int | None = None,
        run: int = 1,
        along: NDArray[np.uint32] | None = None,
    ) -> None:
        """
        Args:
            repeats: how often each place comes in a pass, shape (rows,), at least 1 each.
            window: shuffle within windows of this many, each made of runs of neighbours from all over the selection;
                none: the pass as a whole. The repeats of a place are neighbours, too.
            run: length of these runs.
            along: all places, those that are neighbours where they are read being neighbours here; none: as they are.
        """
        # 4 bytes each: a selection of 12.8 million takes 50 MB, and a pass' order as much again
        if along is None:
            self._places = np.repeat(np.arange(len(repeats), dtype=np.uint32), repeats)
        else:
            self._places = np.repeat(along, repeats[along])
        self._seed = seed
        self._window = window if window is not None and window < len(self._places) else None
        self._run = run
        self._pass = -1
        self._order = self._places

    def __len__(self) -> int:
        """Of one pass."""
        return len(self._places)

    def copy(self) -> Order:
        """Another with the same sequence, for another thread."""
        return copy.copy(self)

    def at(self, start: int, count: int) -> Places:
        """The places at positions `start` to `start + count` of the sequence."""
        out = np.empty(count, np.int64)
        done = 0
        while done < count:
            number, offset = divmod(start + done, len(self._places))
            part = self._shuffled(number)[offset : offset + count - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    def _shuffled(self, number: int) -> NDArray[np.uint32]:
        """The order of one pass; the last one asked for is kept."""
        if number != self._pass:
            rng = np.random.default_rng([self._seed, _STREAM, number])
            if self._window is None:
                self._order = rng.permutation(self._places)
            else:
                self._order = self._in_windows(rng, self._window)
            self._pass = number
        return self._order

    def _in_windows(self, rng: np.random.Generator, window: int) -> NDArray[np.uint32]:
        starts = np.arange(0, len(self._places), self._run)
        runs = [self._places[at : at + self._run] for at in rng.permutation(starts).tolist()]
        mixed = np.concatenate(runs)
        for at in range(0, len(mixed), window):
            rng.shuffle(mixed[at : at + window])
        return mixed
