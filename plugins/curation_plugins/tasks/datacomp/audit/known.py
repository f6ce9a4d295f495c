"""The evaluation items that a pool is compared with: every one, public and sealed, of every set that is there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluation.files import SetFiles, open_set
from curation_plugins.tasks.datacomp.evaluation.sets import evaluation_sets

DESCRIPTORS: Final = "dedup.npy"
"""Beside a set's ``test`` folder, where its items' descriptors were computed: shape (items, width), in the order of
the tars; by the model that DataComp's ``dedup`` features are of."""


class KnownItems:
    """Items of all evaluation sets below a task's assets, counted through.

    Raises:
        AssetsInvalid: a set's file is damaged.
    """

    def __init__(self, assets: Path) -> None:
        folder = layout.evaluation(assets)
        present = [entry for entry in evaluation_sets().values() if (folder / entry.folder).is_dir()]
        self.sets: tuple[SetFiles, ...] = tuple(open_set(folder, entry) for entry in present)
        self._starts = [0, *accumulate(len(one.items) for one in self.sets)]

    def __len__(self) -> int:
        return self._starts[-1]

    def images(self) -> Iterator[bytes]:
        """Every item's picture, in order."""
        for one in self.sets:
            for item in one.items:
                yield one.image(item)

    def of(self, number: int) -> tuple[str, str]:
        """(set, item) by its number in that order."""
        place = bisect_right(self._starts, number) - 1
        files = self.sets[place]
        return files.entry.key, files.items[number - self._starts[place]].name

    def descriptors(self) -> list[tuple[int, NDArray[np.float32]]]:
        """Of each set whose items have descriptors: the number of its first item, and these, shape (items, width).

        Raises:
            AssetsInvalid: a set's file has another number of items, or another width than the others.
        """
        sets = list[tuple[int, NDArray[np.float32]]]()
        for start, one in zip(self._starts, self.sets, strict=False):
            path = one.folder / DESCRIPTORS
            if not path.exists():
                continue
            found = _read(path)
            if len(found) != len(one.items) or (sets and found.shape[1] != sets[0][1].shape[1]):
                raise AssetsInvalid(
                    f"{path}: {found.shape} descriptors for {len(one.items)} items",
                    hint="Compute them again, one for each picture in the order of the tars, or remove the file.",
                )
            sets.append((start, found))
        return sets


def _read(path: Path) -> NDArray[np.float32]:
    try:
        found = np.load(path, allow_pickle=False)
        if found.ndim != 2:
            raise ValueError(f"of {found.ndim} dimensions")
        return np.asarray(found, dtype=np.float32)
    except (OSError, ValueError) as error:
        raise AssetsInvalid(f"{path}: no array of descriptors ({error})", hint="Compute them again.") from None
