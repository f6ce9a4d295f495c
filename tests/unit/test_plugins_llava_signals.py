"""Signals of every model family, on small models of the true classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.tasks.llava.encode import collate
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.signals import Signaller, gradients
from curation_plugins.tasks.llava.sketches import signs
from curation_plugins.tasks.llava.train import PoolState
from small_models import NAMES, make_assets

pytestmark = pytest.mark.train

ROWS = tuple(range(6))


def recipe(name: str) -> dict[str, Any]:
    return {"family": name, "steps": 5, "batch": 4, "lr": 2e-3, "max_tokens": 256, "train_tower": False}


@pytest.mark.parametrize("name", NAMES)
def test_every_family_s_rows_get_every_signal(name: str, tmp_path: Path) -> None:
    assets = make_assets(name, tmp_path / name)
    worker = Signaller()
    for signal, width in (("answer-loss", 1), ("el2n", 1), ("embedding", 64), ("gradient", 256)):
        job = {"name": signal, "rows": list(ROWS), "assets": str(assets), "recipe": recipe(name)}
        values = torch.tensor(worker.signal(job, lambda what, done: None)["values"])
        assert values.shape == (len(ROWS), width) if width > 1 else (len(ROWS),)
        assert values.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_family_s_sketch_is_that_of_the_written_out_gradient(name: str, tmp_path: Path) -> None:
    state = PoolState(make_assets(name, tmp_path / name), read_recipe(recipe(name)))
    rows = state.encoded(ROWS)
    found = gradients(state.model, rows, state.features, state.pad_id, len(ROWS))
    batch = collate([rows[1]], state.pad_id)
    logits, targets, _ = answer_logits(state.model, batch, state.features(batch.images))
    torch.nn.functional.cross_entropy(logits, targets).backward()
    by_hand = torch.zeros(16, 16)
    layers = [one for one in state.model.get_decoder().modules() if isinstance(one, torch.nn.Linear)]
    assert len(layers) == 14  # two blocks of attention (4) and feed-forward (3)
    for number, layer in enumerate(layers):
        left, right = signs(number, 0, layer.out_features), signs(number, 1, layer.in_features)
        by_hand += left.T @ layer.weight.grad @ right
    torch.testing.assert_close(torch.tensor(found[1]), by_hand.flatten(), rtol=1e-3, atol=1e-4)
