"""A training on several cards: one process each, started for a job and gone after it."""

from __future__ import annotations

import os
import queue
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from curation_plugins.errors import ConfigInvalid

POLL_SECONDS = 1.0

Progress = Callable[[str, float], None]
Report = Callable[[int, int, float], None]
"""(steps done, all steps, current loss)."""
WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")


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
        entry: a function of a module.

    Raises:
        ConfigInvalid: this machine has CUDA, but fewer cards than that.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < cards:
        raise ConfigInvalid(
            f"recipe.cards: {cards} are wanted, and {torch.cuda.device_count()} are visible",
            hint="CURATION_SLOTS=gpu-0+1+2+3 gives a worker four; or choose another recipe.",
        )
    said: Any = mp.get_context("spawn").Queue()
    report = describe(progress)
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.pt"
        start: Any = mp.spawn  # type: ignore[attr-defined]
        running = start(_process, (entry, work, cards, _free_port(), said, result), nprocs=cards, join=False)
        while not running.join(timeout=POLL_SECONDS):
            _pass_on(said, report)
        _pass_on(said, report)
        # written by our own process a moment ago
        found: ResultT = torch.load(result, weights_only=False)
    return found


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
    dist.init_process_group("nccl" if on_card else "gloo", rank=rank, world_size=cards)

    def report(step: int, steps: int, loss: float) -> None:
        if rank == 0:
            said.put((step, steps, loss))

    try:
        found = entry(Card(rank, cards, device, report), work)
        if rank == 0:
            torch.save(found, result)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
