"""A training on several cards: one process each, started for a job and gone after it."""

from __future__ import annotations

import json
import os
import queue
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pydantic import BaseModel, TypeAdapter
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_sandbox.errors import CurationError

POLL_SECONDS = 1.0
MESSAGE: Final = 2000
"""Characters of a failure's message that are passed on."""

Progress = Callable[[str, float], None]
Report = Callable[[int, int, float], None]
"""(steps done, all steps, current loss)."""
WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")


class CardFailed(RuntimeError):
    """One of the processes raised, or died."""


class CardOutOfMemory(CardFailed, MemoryError):
    """One of the processes had no memory left, its card's or the machine's."""


@dataclass(frozen=True)
class Card:
    """One of the processes."""

    rank: int
    """Which it is, from 0."""
    size: int
    """How many there are."""
    device: torch.device
    report: Report
    """Heard from the first one only."""


def describe(progress: Progress) -> Report:
    """A training's steps as what a worker tells of its progress."""
    return lambda step, steps, loss: progress(f"step {step} of {steps}, loss {loss:.3f}", step / steps)


def train_on_cards(entry: Callable[[Card, WorkT], ResultT], work: WorkT, cards: int, progress: Progress) -> ResultT:
    """What `entry` returns in the first of `cards` processes; each calls it with the same work, joined in torch's
    default process group. Without CUDA they are processes on the CPU.

    Args:
        entry: a function of a module; what it returns is a type of plain data, which its annotation names.

    Raises:
        ConfigInvalid: this machine has CUDA, but fewer cards than that.
        AssetsInvalid: a process raised it.
        CardOutOfMemory, CardFailed: a process raised something else, or died.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < cards:
        raise ConfigInvalid(
            f"recipe.cards: {cards} are wanted, and {torch.cuda.device_count()} are visible",
            hint="CURATION_SLOTS=gpu-0+1+2+3 gives a worker four; or choose another recipe.",
        )
    said: Any = mp.get_context("spawn").Queue()
    report = describe(progress)
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        start: Any = mp.spawn  # type: ignore[attr-defined]
        running = start(_process, (entry, work, cards, _free_port(), said, result), nprocs=cards, join=False)
        try:
            while not running.join(timeout=POLL_SECONDS):
                _pass_on(said, report)
        except ProcessExitedException as error:  # it was killed, and could say nothing
            raise CardFailed(_first_line(error)) from error
        except ProcessRaisedException as error:
            # the text of this one is a traceback; the record gets what was raised, as with one process
            raise _what_failed(Path(scratch), cards) or CardFailed(_first_line(error)) from error
        _pass_on(said, report)
        return _shape(entry).validate_python(json.loads(result.read_bytes()))


def _shape(entry: Callable[[Card, WorkT], ResultT]) -> TypeAdapter[ResultT]:
    """Of what it returns, as it says itself: numbers and lists of them, which need no pickle."""
    return TypeAdapter(get_type_hints(entry)["return"])


def _pass_on(said: Any, report: Report) -> None:
    while True:
        try:
            report(*said.get_nowait())
        except queue.Empty:
            return


def _process(
    rank: int, entry: Callable[[Card, WorkT], Any], work: WorkT, cards: int, port: int, said: Any, result: Path
) -> None:
    """One process' life."""
    on_card = torch.cuda.is_available()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    device = torch.device("cuda", rank) if on_card else torch.device("cpu")
    if on_card:
        torch.cuda.set_device(device)
    try:
        _joined(rank, entry, work, cards, device, said, result)
    except Exception as error:
        _leave_word(result.parent, rank, error)
        raise


def _joined(
    rank: int,
    entry: Callable[[Card, WorkT], Any],
    work: WorkT,
    cards: int,
    device: torch.device,
    said: Any,
    result: Path,
) -> None:
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=cards)

    def report(step: int, steps: int, loss: float) -> None:
        if rank == 0:
            said.put((step, steps, loss))

    try:
        found = entry(Card(rank, cards, device, report), work)
        if rank == 0:
            result.write_text(json.dumps(_shape(entry).dump_python(found, mode="json")), encoding="utf-8")
        dist.barrier()
    finally:
        dist.destroy_process_group()


class _Word(BaseModel):
    """What a process that failed leaves."""

    at: float
    """Seconds of the machine's clock: the first one's is the cause, the others broke on its absence."""
    kind: str
    message: str
    hint: str | None
    memory: bool


def _leave_word(folder: Path, rank: int, error: Exception) -> None:
    told = _Word(
        at=time.monotonic(),
        kind=type(error).__name__,
        message=error.message if isinstance(error, CurationError) else str(error)[:MESSAGE],
        hint=error.hint if isinstance(error, CurationError) else None,
        memory=isinstance(error, torch.cuda.OutOfMemoryError | MemoryError),
    )
    scratch = folder / f".failure-{rank}"
    scratch.write_text(told.model_dump_json(), encoding="utf-8")
    scratch.replace(folder / f"failure-{rank}.json")


def _what_failed(folder: Path, cards: int) -> Exception | None:
    """What the first process to fail raised, as the parent raises it; none where it could say nothing."""
    left = [(rank, folder / f"failure-{rank}.json") for rank in range(cards)]
    words = [(_Word.model_validate_json(file.read_bytes()), rank) for rank, file in left if file.exists()]
    if not words:
        return None
    first, rank = min(words, key=lambda word: word[0].at)
    if first.kind == AssetsInvalid.__name__:
        return AssetsInvalid(first.message, hint=first.hint)
    kind = CardOutOfMemory if first.memory else CardFailed
    return kind(f"process {rank + 1} of {cards}: {first.kind}: {first.message}")


def _first_line(error: Exception) -> str:
    return next(line.strip() for line in str(error).splitlines() if line.strip("- "))[:MESSAGE]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
