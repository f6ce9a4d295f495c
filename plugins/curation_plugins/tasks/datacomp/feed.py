"""Batches of the selected pairs, read and decoded ahead of the training by processes of their own."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.order import Order
from curation_plugins.tasks.datacomp.pair_bytes import Files, Reader
from curation_plugins.tasks.datacomp.pairs import Decoded, Decoder
from curation_plugins.tasks.datacomp.recipe import Recipe
from curation_sandbox.errors import CurationError

CHUNK: Final = 64
"""Most pairs that a process decodes at a time. No result depends on it."""
BROKEN_SHARE: Final = 0.01
"""Of the selected images, above which the pool is at fault and the training of no use."""
AHEAD: Final = 2
"""Batches that are ready or being put together while one is trained on."""

Chunk = tuple[int, NDArray[np.int64]]
"""Position of its first pair in the training, and the places of its pairs."""


@dataclass(frozen=True)
class Batch:
    """What one card gets of a step."""

    pixels: torch.Tensor
    """uint8, (pairs, 3, side, side)."""
    tokens: torch.Tensor
    """int64, (pairs, context length)."""
    broken: frozenset[int]
    """Places whose image could not be decoded."""
    replaced: int
    """How many of the pairs were taken for another one."""


@dataclass
class Feed:
    """The batches of a training, or of one card's part in it. The same for any number of workers."""

    files: Files
    order: Order
    tokenizer: Callable[[Sequence[str]], torch.Tensor]
    size: tuple[int, int]
    recipe: Recipe
    seed: int
    rank: int = 0
    broken: set[int] = field(default_factory=set)
    """Places whose image could not be decoded, among those seen so far."""
    replaced: int = 0
    """How often another pair had to be taken."""
    _position: int = 0

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """Those of steps `first` to the recipe's last.

        Raises:
            AssetsInvalid: a shard cannot be read, or more than `BROKEN_SHARE` of the selected images are broken.
        """
        stop = threading.Event()
        self._position = first * self.recipe.batch
        try:
            # its processes are forked here, by the thread that trains, not while that is in the middle of something
            made = self._batches(iter(self._loader(first)))
            if self.recipe.shuffle_rows is not None:
                threading.Thread(target=self._advise, args=(first, stop), daemon=True).start()
            for batch in _in_a_thread(made, stop) if self.recipe.workers else made:
                self._position += self.recipe.batch
                self.broken |= batch.broken
                self.replaced += batch.replaced
                self.require_readable(self.broken)
                yield batch
        finally:
            stop.set()

    def _loader(self, first: int) -> DataLoader[Decoded | CurationError]:
        workers = self.recipe.workers
        recipe = self.recipe
        decoder = Decoder(self.files, self.tokenizer, self.size, recipe.crop, self.seed, recipe.resize)
        return DataLoader(
            _Chunks(decoder),
            sampler=_Plan(self._chunks(first)),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=max(2, self._share // (CHUNK * workers)) if workers else None,
            # else it draws a seed for its processes, which need none, from the training's generator
            generator=torch.Generator(),
        )

    @property
    def _share(self) -> int:
        """Pairs of a step on one card."""
        return self.recipe.batch // self.recipe.cards

    def _batches(self, chunks: Iterator[Decoded | CurationError]) -> Iterator[Batch]:
        parts, count = list[Decoded](), 0
        for decoded in chunks:
            if isinstance(decoded, CurationError):
                raise decoded
            parts.append(decoded)
            count += len(decoded.pixels)
            if count == self._share:
                yield _joined(parts)
                parts, count = [], 0

    def require_readable(self, broken: Collection[int]) -> None:
        """
        Raises:
            AssetsInvalid: so many places are more than `BROKEN_SHARE` of the selected images.
        """
        if len(broken) > BROKEN_SHARE * len(self.files):
            raise AssetsInvalid(
                f"{len(broken)} of the {len(self.files)} selected images cannot be decoded, which is more than"
                f" {BROKEN_SHARE:.0%}",
                hint="The pool's shards are damaged. Download them again; no submission can help it.",
            )

    def _chunks(self, first: int) -> Iterator[Chunk]:
        batch, share = self.recipe.batch, self._share
        for step in range(first, self.recipe.steps):
            start = step * batch + self.rank * share
            places = self.order.at(start, share)
            for at in range(0, share, CHUNK):
                yield start + at, places[at : at + CHUNK]

    def _advise(self, first: int, stop: threading.Event) -> None:
        """Has the kernel read each window of the shuffling before it comes, in the order of the disk."""
        window, reader = self.recipe.shuffle_rows, Reader(self.files)
        assert window is not None
        order, end = self.order.copy(), self.recipe.steps * self.recipe.batch
        # what cannot be read is told where it is wanted
        with contextlib.closing(reader), contextlib.suppress(AssetsInvalid):
            for start in range(first * self.recipe.batch // window * window, end, window):
                while self._position < start - window and not stop.wait(0.2):
                    pass
                if stop.is_set():
                    return
                reader.will_need(order.at(start, min(window, end - start)))


def _joined(parts: Sequence[Decoded]) -> Batch:
    pixels, tokens = (torch.cat([getattr(part, name) for part in parts]) for name in ("pixels", "tokens"))
    if torch.cuda.is_available():
        pixels, tokens = pixels.pin_memory(), tokens.pin_memory()
    broken = frozenset(place for part in parts for place in part.broken)
    return Batch(pixels, tokens, broken, sum(part.replaced for part in parts))


class _Chunks(Dataset[Decoded | CurationError]):
    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def __getitem__(self, chunk: Any) -> Decoded | CurationError:
        start, places = chunk
        try:
            return self._decoder.chunk(start, places)
        except CurationError as error:  # raised here, it would reach the training as the text of a traceback
            return error


class _Plan(Sampler[Any]):
    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks


def _in_a_thread(batches: Iterator[Batch], stop: threading.Event) -> Iterator[Batch]:
    """The same batches, put together by a thread that runs ahead."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=AHEAD)

    def put(one: Batch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(one, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # raised again where the batches are used
            put(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while (one := ready.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        stop.set()
        thread.join()
