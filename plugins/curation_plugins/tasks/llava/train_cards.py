"""Training on several cards: one process each, started for a job and gone after it."""

from __future__ import annotations

import os
import queue
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.cards import Group
from curation_plugins.tasks.llava.encode import Encoded
from curation_plugins.tasks.llava.fit import Fitted, Ready, fit_ready, ready
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.tuning import set_determinism
from curation_plugins.tasks.llava.vision import Opener

Progress = Callable[[str, float], None]

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class _Work:
    """What each process is given."""

    assets: Path
    rows: list[Encoded]
    weights: tuple[float, ...]
    recipe: Recipe
    seed: int
    out: Path
    port: int


def train_on_cards(
    assets: Path,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    recipe: Recipe,
    seed: int,
    out: Path,
    progress: Progress,
) -> Fitted:
    """Trains the base model of `assets` and saves it to `out`.

    Raises:
        ConfigInvalid: this machine has CUDA, but fewer cards than the recipe wants.
    """
    if torch.cuda.is_available() and torch.cuda.device_count() < recipe.cards:
        raise ConfigInvalid(
            f"recipe.cards: {recipe.cards} are wanted, and {torch.cuda.device_count()} are visible",
            hint="CURATION_SLOTS=gpu-0+1+2+3 gives a worker four; or choose another recipe (docs/recipes.md).",
        )
    work = _Work(assets, list(rows), tuple(weights), recipe, seed, out, _free_port())
    context = mp.get_context("spawn")
    said: Any = context.Queue()
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "fitted.pt"
        start: Any = mp.spawn  # type: ignore[attr-defined]
        running = start(_card, (work, said, result), nprocs=recipe.cards, join=False)
        while not running.join(timeout=POLL_SECONDS):
            _pass_on(said, progress)
        _pass_on(said, progress)
        fitted = torch.load(result, weights_only=False)
    assert isinstance(fitted, Fitted)
    return fitted


def _pass_on(said: Any, progress: Progress) -> None:
    while True:
        try:
            step, steps, loss = said.get_nowait()
        except queue.Empty:
            return
        progress(f"step {step} of {steps}, loss {loss:.3f}", step / steps)


def _card(rank: int, work: _Work, said: Any, result: Path) -> None:
    """One process' life."""
    on_card = torch.cuda.is_available()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(work.port))
    device = torch.device("cuda", rank) if on_card else torch.device("cpu")
    if on_card:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_card else "gloo", rank=rank, world_size=work.recipe.cards)
    try:
        recipe, base = work.recipe, layout.base_model(work.assets)
        set_determinism(recipe.threads, work.seed, deterministic=recipe.deterministic)
        mesh = init_device_mesh(device.type, (recipe.cards,))
        group = Group(rank=rank, size=recipe.cards, mesh=mesh)
        student, processor = _in_turn(base, recipe, group)
        model = student.tuned.model
        pictures = Opener(processor, model.config, layout.pool(work.assets), recipe.image_workers)
        pad_id = int(processor.tokenizer.pad_token_id)

        def report(step: int, steps: int, loss: float) -> None:
            if rank == 0:
                said.put((step, steps, loss))

        fitted = fit_ready(student, work.rows, work.weights, pictures, recipe, work.seed, pad_id, report, group)
        whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if rank == 0:
            _save(base, whole, work, processor)
            torch.save(fitted, result)
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _in_turn(base: Path, recipe: Recipe, group: Group) -> tuple[Ready, Any]:
    """The model, shared over the group, and its processor.

    The weights are sharded in main memory, so that a whole fp32 model need not fit a card; and one process after the
    other, so that main memory holds one whole model, not as many as there are cards.
    """
    found = None
    for turn in range(group.size):
        if turn == group.rank:
            dtype = "bfloat16" if recipe.precision == "bf16" else "float32"
            model, processor = checkpoint.load(base, dtype, "cpu", recipe.attention)
            found = ready(model, recipe, group), processor
        dist.barrier()
    assert found is not None
    return found


def _save(base: Path, weights: dict[str, Any], work: _Work, processor: Any) -> None:
    plain, _ = checkpoint.load(base, work.recipe.saved)
    plain.load_state_dict(weights, strict=False)
    checkpoint.save(work.out, plain, processor)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
