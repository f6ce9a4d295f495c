"""Bytes of pairs at known places of files."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid

OPEN_FILES: Final = 128
"""Shards that a process keeps open; 1,024 is what a process may have by default."""


@dataclass(frozen=True)
class Files:
    """Where pairs lie. A pair's place is its number among them."""

    paths: tuple[Path, ...]
    samples: NDArray[Any]
    """``pool_index.SAMPLE``, a file's number being its place in `paths`; of a whole pool, perhaps a memory map."""
    rows: NDArray[np.int64] | None = None
    """Which of `samples` are meant, ascending, shape (places,); none: all."""

    def __len__(self) -> int:
        return len(self.samples if self.rows is None else self.rows)

    def at(self, places: Any) -> Any:
        """The samples at these places, or the one at a place."""
        return self.samples[places if self.rows is None else self.rows[places]]


class Reader:
    """Reads bytes of the selected pairs; in each process its own."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._open: OrderedDict[int, int] = OrderedDict()

    def image(self, place: int) -> bytes:
        """The image file of a pair; short where its shard was cut since it was indexed.

        Raises:
            AssetsInvalid: the shard cannot be opened or read.
        """
        return self._read(place, "image", "image_bytes")

    def text(self, place: int) -> str:
        """The caption of a pair; bytes that are no UTF-8 become U+FFFD."""
        return self.raw_text(place).decode("utf-8", errors="replace")

    def raw_text(self, place: int) -> bytes:
        """The caption's bytes."""
        return self._read(place, "text", "text_bytes")

    def will_need(self, places: NDArray[np.int64]) -> None:
        """Tells the kernel that these are read next, in the order in which they lie on the disk."""
        samples = self._files.at(places)
        for sample in samples[np.lexsort((samples["image"], samples["shard"]))]:
            begin, end = _span(sample)
            descriptor = self._descriptor(int(sample["shard"]))
            os.posix_fadvise(descriptor, begin, end - begin, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _read(self, place: int, at: str, size: str) -> bytes:
        sample = self._files.at(place)
        shard = int(sample["shard"])
        try:
            return os.pread(self._descriptor(shard), int(sample[size]), int(sample[at]))
        except OSError as error:
            raise self._lost(shard, error) from error

    def _descriptor(self, shard: int) -> int:
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        if len(self._open) >= OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        try:
            self._open[shard] = os.open(self._files.paths[shard], os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._lost(shard, error) from error
        return self._open[shard]

    def _lost(self, shard: int, error: OSError) -> AssetsInvalid:
        return AssetsInvalid(
            f"{self._files.paths[shard]} cannot be read: {error.strerror or error}",
            hint="The pool's shards were moved or changed since they were indexed.",
        )


def _span(sample: Any) -> tuple[int, int]:
    """First byte and end of a pair's image and text: neighbours in a shard."""
    image, text = int(sample["image"]), int(sample["text"])
    return min(image, text), max(image + int(sample["image_bytes"]), text + int(sample["text_bytes"]))
