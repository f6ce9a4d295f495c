"""Training on a CUDA card: precision, memory, optional kernels, several cards. On the small stand-ins."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.jobs import TrainResult
from curation_plugins.selection import of_rows
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.train import PoolState, Trainer
from curation_plugins.tasks.llava.train_cards import train_on_cards
from curation_plugins.tasks.llava.tuning import tune
from curation_plugins.tasks.llava.vision import Opener
from plain_loop import plain_losses
from small_models import NAMES, make_assets

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card"),
]

ROWS = tuple(range(24))
WEIGHTS = (1.0,) * len(ROWS)


def _recipe(name: str, **values: Any) -> Recipe:
    start = {"family": name, "steps": 50, "batch": 4, "lr": 2e-3, "max_tokens": 256, "train_tower": False}
    return read_recipe({**start, **values})


def _losses(name: str, assets: Path, **values: Any) -> torch.Tensor:
    state = PoolState(assets, _recipe(name, **values))
    fitted = fit(state.fresh(), state.encoded(ROWS), WEIGHTS, state.features, state.recipe, 3, state.pad_id)
    return torch.tensor(fitted.losses)


@pytest.fixture(scope="module", params=NAMES)
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, make_assets(request.param, tmp_path_factory.mktemp("assets") / request.param)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_assets("llava-1.5", tmp_path_factory.mktemp("assets") / "llava")


def test_fp32_on_the_card_has_the_plain_loop_s_losses(named: tuple[str, Path]) -> None:
    name, assets = named
    state = PoolState(assets, _recipe(name, precision="fp32"))
    pictures = Opener(state.processor, state.config, assets / "pool", 2)
    theirs = plain_losses(
        state.fresh(), state.encoded(ROWS), WEIGHTS, pictures, state.recipe, 3, state.pad_id, checkpointing=True
    )
    ours = _losses(name, assets, precision="fp32", micro_batch=2)
    torch.testing.assert_close(ours, torch.tensor(theirs), rtol=1e-3, atol=0.0)


def test_mixed_precision_keeps_fp32_weights_and_stays_near_fp32(named: tuple[str, Path]) -> None:
    name, assets = named
    tuned = tune(checkpoint.load(assets / "base", device="cuda")[0], _recipe(name))
    kinds = {p.requires_grad: p.dtype for p in tuned.model.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    mixed, exact = _losses(name, assets), _losses(name, assets, precision="fp32")
    assert (mixed - exact).abs().mean() < 0.05 * exact.mean()


def test_the_same_seed_gives_the_same_losses_bit_by_bit(llava: Path) -> None:
    assert torch.equal(_losses("llava-1.5", llava), _losses("llava-1.5", llava))


@pytest.mark.skipif(importlib.util.find_spec("liger_kernel") is None, reason="liger-kernel is not installed")
def test_liger_changes_no_loss(llava: Path) -> None:
    plain = _losses("llava-1.5", llava, precision="fp32", deterministic=False)
    liger = _losses("llava-1.5", llava, precision="fp32", deterministic=False, liger=True)
    torch.testing.assert_close(liger, plain, rtol=1e-3, atol=0.0)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_eight_bit_moments_learn_too(llava: Path) -> None:
    losses = _losses("llava-1.5", llava, optimiser="adamw-8bit", deterministic=False)
    assert losses[-5:].mean() < 0.7 * losses[0]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one card only")
def test_two_cards_train_what_one_does(llava: Path, tmp_path: Path) -> None:
    recipe = _recipe("llava-1.5", precision="fp32", cards=2, micro_batch=1)
    state = PoolState(llava, recipe)
    fitted = train_on_cards(
        llava, state.encoded(ROWS), WEIGHTS, recipe, 3, tmp_path / "model", lambda what, done: None
    )
    torch.testing.assert_close(
        torch.tensor(fitted.losses), _losses("llava-1.5", llava, precision="fp32"), rtol=1e-3, atol=0.0
    )


def test_a_job_gives_the_card_back_and_tells_what_it_took(llava: Path, tmp_path: Path) -> None:
    (tmp_path / "selection.jsonl").write_bytes(of_rows(list(ROWS)).canonical())
    recipe = {**_recipe("llava-1.5", steps=3).model_dump(), "text_rows": "blank"}
    job = {
        "selection": str(tmp_path / "selection.jsonl"),
        "assets": str(llava),
        "recipe": recipe,
        "seed": 1,
        "out": str(tmp_path),
    }
    trainer = Trainer()
    left = []
    for _ in range(2):
        result = TrainResult.model_validate(trainer.train(job, lambda what, done: None))
        left.append(torch.cuda.memory_allocated())
        assert result.notes["peak_memory_bytes"] > left[-1]
        assert result.about["device"] == torch.cuda.get_device_name()
    assert left[0] == left[1]
