"""Training on several cards that share the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh

from curation_plugins.tasks import card_processes
from curation_plugins.tasks.card_processes import Card, Progress
from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.cards import Group
from curation_plugins.tasks.llava.encode import Encoded
from curation_plugins.tasks.llava.fit import Fitted, Ready, fit_ready, ready
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.vision import Opener


@dataclass(frozen=True)
class _Work:
    """What each process is given."""

    assets: Path
    rows: list[Encoded]
    weights: tuple[float, ...]
    recipe: Recipe
    seed: int
    out: Path


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
    work = _Work(assets, list(rows), tuple(weights), recipe, seed, out)
    return card_processes.train_on_cards(_on_card, work, recipe.cards, progress)


def _on_card(card: Card, work: _Work) -> Fitted:
    recipe, base = work.recipe, layout.base_model(work.assets)
    set_determinism(recipe.threads, work.seed, deterministic=recipe.deterministic)
    mesh = init_device_mesh(card.device.type, (card.size,))
    group = Group(rank=card.rank, size=card.size, mesh=mesh)
    student, processor = _in_turn(base, recipe, group)
    model = student.tuned.model
    pictures = Opener(processor, model.config, layout.pool(work.assets), recipe.image_workers)
    pad_id = int(processor.tokenizer.pad_token_id)
    fitted = fit_ready(student, work.rows, work.weights, pictures, recipe, work.seed, pad_id, card.report, group)
    whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if card.rank == 0:
        _save(base, whole, work, processor)
    return fitted


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
