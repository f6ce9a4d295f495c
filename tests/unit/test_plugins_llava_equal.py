"""Every way in which the training loop is fast gives the losses of a plain loop on the same batches, over 50 steps in
fp32."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.encode import collate
from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.train import PoolState
from curation_plugins.tasks.llava.train_cards import train_on_cards
from curation_plugins.tasks.llava.tuning import tune
from curation_plugins.tasks.llava.vision import FeatureStore, Opener
from plain_loop import plain_losses
from small_models import NAMES, make_assets

pytestmark = pytest.mark.train

ROWS = tuple(range(24))
_LLAVA = pytest.mark.parametrize("plain", ["llava-1.5"], indirect=True)
"""For what only LLaVA's recipes use, or what is shared by all families."""
WEIGHTS = tuple(1.0 + (n % 3) / 2 for n in ROWS)


def _recipe(name: str, **values: Any) -> Recipe:
    start = {"family": name, "steps": 50, "batch": 4, "lr": 2e-3, "warmup": 0.1, "max_tokens": 256, "beta2": 0.98}
    return Recipe.model_validate({**start, "train_tower": name.startswith("qwen"), **values})


@pytest.fixture(scope="module", params=NAMES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[float]]:
    """Name, assets and the plain loop's losses."""
    name = request.param
    assets = make_assets(name, tmp_path_factory.mktemp("assets") / name)
    state = PoolState(assets, _recipe(name))
    pictures = Opener(state.processor, state.config, assets / "pool", 1)
    rows = state.encoded(ROWS)
    losses = plain_losses(state.fresh(), rows, WEIGHTS, pictures, state.recipe, 3, state.pad_id)
    assert losses[-1] < 0.7 * losses[0], "it should learn, or equal losses say little"
    return name, assets, losses


def _fit(name: str, assets: Path, **values: Any) -> tuple[PoolState, list[float]]:
    state = PoolState(assets, _recipe(name, **values))
    fitted = fit(state.fresh(), state.encoded(ROWS), WEIGHTS, state.features, state.recipe, 3, state.pad_id)
    return state, list(fitted.losses)


def _close(ours: list[float], theirs: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=0.0)


def test_logits_where_there_is_loss_and_micro_batches_by_length_change_no_loss(
    plain: tuple[str, Path, list[float]],
) -> None:
    name, assets, losses = plain
    _close(_fit(name, assets, micro_batch=2)[1], losses)


@_LLAVA
@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="one padded batch"),
        pytest.param({"micro_batch": 1, "checkpointing": True}, id="checkpointing"),
        pytest.param({"attention": "eager"}, id="eager attention"),
    ],
)
def test_the_fast_loop_has_the_plain_loop_s_losses(
    values: dict[str, Any], plain: tuple[str, Path, list[float]]
) -> None:
    name, assets, losses = plain
    _close(_fit(name, assets, **values)[1], losses)


@_LLAVA
@pytest.mark.parametrize("train_head", [False, True])
def test_lora_has_the_losses_of_adapters_written_out(plain: tuple[str, Path, list[float]], train_head: bool) -> None:
    """Every linear layer of the language model, the projector in full at a rate of its own. Without dropout, whose
    draws depend on how a step is cut."""
    name, assets, _ = plain
    values = {"tuning": "lora", "lora": {"rank": 8, "alpha": 16, "train_head": train_head}, "projector_lr": 5e-4}
    state, ours = _fit(name, assets, **values, micro_batch=2)
    set_determinism(1, 3)  # the seed of the training, which draws the adapters' first matrices
    tuned = tune(state.fresh(), state.recipe)
    first = {
        layer: module.lora_A["default"].weight.detach().clone()
        for layer, module in tuned.family.language(tuned.model).named_modules()
        if hasattr(module, "lora_A")
    }
    pictures = Opener(state.processor, state.config, assets / "pool", 1)
    rows = state.encoded(ROWS)
    theirs = plain_losses(state.fresh(), rows, WEIGHTS, pictures, state.recipe, 3, state.pad_id, adapters=first)
    assert theirs[-1] < 0.8 * theirs[0]
    _close(ours, theirs)


@_LLAVA
def test_checkpointing_keeps_fewer_activations(plain: tuple[str, Path, list[float]]) -> None:
    """The language model is called by its parts, past the model's own forward pass: is it switched on there too?"""
    name, assets, _ = plain

    def kept(checkpointing: bool) -> int:
        state = PoolState(assets, _recipe(name, checkpointing=checkpointing))
        model = tune(state.fresh(), state.recipe).model.train()
        batch = collate(state.encoded(ROWS[:4]), state.pad_id)
        numbers = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal numbers
            numbers += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            answer_logits(model, batch, state.features(batch.images))
        return numbers

    assert kept(True) < 0.5 * kept(False)


@_LLAVA
def test_tower_features_made_once_or_for_each_step_are_equal(plain: tuple[str, Path, list[float]]) -> None:
    name, assets, losses = plain
    state, ready = _fit(name, assets)
    assert isinstance(state.features, FeatureStore)
    opener = Opener(state.processor, state.config, assets / "pool", 2)
    fitted = fit(state.fresh(), state.encoded(ROWS), WEIGHTS, opener, state.recipe, 3, state.pad_id)
    _close(ready, list(fitted.losses))
    _close(ready, losses)


@_LLAVA
def test_other_batches_are_told_apart(plain: tuple[str, Path, list[float]]) -> None:
    """Length grouping changes which rows share a step: the comparison above sees such a thing."""
    name, assets, losses = plain
    with pytest.raises(AssertionError):
        _close(_fit(name, assets, length_grouped=True)[1], losses)


@_LLAVA
@pytest.mark.slow  # starts two processes that import torch and transformers
def test_two_cards_train_what_one_does(plain: tuple[str, Path, list[float]], tmp_path: Path) -> None:
    """Two processes on this CPU; a micro-batch without image, and parts of unequal length, are among them."""
    name, assets, losses = plain
    state = PoolState(assets, _recipe(name, micro_batch=1, cards=2))
    rows = state.encoded(ROWS)
    fitted = train_on_cards(assets, rows, WEIGHTS, state.recipe, 3, tmp_path / "model", lambda what, done: None)
    _close(list(fitted.losses), losses)
    alone = PoolState(assets, _recipe(name))
    model = alone.fresh()
    fit(model, rows, WEIGHTS, alone.features, alone.recipe, 3, alone.pad_id)
    trained, _ = checkpoint.load(tmp_path / "model")
    for (key, one), other in zip(model.named_parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3, msg=key)
    shutil.rmtree(tmp_path / "model")
