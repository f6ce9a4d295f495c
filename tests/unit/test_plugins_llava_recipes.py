"""Named recipes, what training records of itself, and what it refuses before it begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from curation_plugins import paths
from curation_plugins.config import load, override
from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.jobs import TrainResult
from curation_plugins.selection import of_rows
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.recipes import FOLDER
from curation_plugins.tasks.llava.task import LlavaTask
from curation_plugins.tasks.llava.train import Trainer
from curation_plugins.tasks.llava.tuning import tune
from curation_plugins.tasks.named_recipes import named_recipes
from small_models import make, make_assets

QUICK = {"steps": 2, "batch": 4, "lr": 1e-3, "max_tokens": 512}


# --- as data ---


@pytest.mark.parametrize("name", named_recipes(FOLDER))
def test_every_named_recipe_is_whole(name: str) -> None:
    recipe = read_recipe({"extends": name})
    assert recipe.name == name
    assert name.startswith(recipe.family)
    assert recipe.epochs == 1
    assert recipe.warmup == 0.03
    assert recipe.average_last == 0


def test_every_named_recipe_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in named_recipes(FOLDER) if f"| `{name}` |" not in text] == []


def test_the_published_full_fine_tune() -> None:
    recipe = read_recipe({"extends": "llava-1.5-full"})
    assert (recipe.lr, recipe.batch, recipe.weight_decay, recipe.max_tokens) == (2e-5, 16, 0.0, 2048)
    assert (recipe.tuning, recipe.train_tower, recipe.supervise_end, recipe.length_grouped) == (
        "full",
        False,
        True,
        False,
    )
    assert recipe.precision == "mixed"
    assert recipe.total_steps(10_000) == 625


def test_the_lora_recipe() -> None:
    recipe = read_recipe({"extends": "llava-1.5-lora"})
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (128, 256, 0.05)
    assert (recipe.lr, recipe.projector_lr) == (2e-4, 2e-5)


@pytest.mark.parametrize("family", ["llava-1.5", "qwen2-vl", "qwen2.5-vl", "smolvlm"])
def test_the_seed_s_pure_bf16_is_a_variant_of_its_own(family: str) -> None:
    usual, seed = (read_recipe({"extends": f"{family}-full{end}"}) for end in ("", "-seed"))
    assert usual.precision == "mixed"
    assert seed.precision == "bf16"
    assert usual.supervise_end
    assert seed.supervise_end == (not family.startswith("qwen"))
    kept = {"lr", "batch", "epochs", "weight_decay", "beta2", "train_tower", "max_tokens", "text_rows"}
    assert usual.model_dump(include=kept) == seed.model_dump(include=kept)


def test_overrides_go_on_top_and_a_resolved_recipe_stays_what_it_is() -> None:
    recipe = read_recipe({"extends": "llava-1.5-lora", "lora": {"rank": 8}, "steps": 30})
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.steps, recipe.epochs) == (8, 256, 30, None)
    assert read_recipe(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"extends": "llava-1.5-ful"}, "did you mean 'llava-1.5-full'"),
        ({"extends": "llava-1.5-full", "learning": 1}, "recipe.learning"),
        ({"extends": "llava-1.5-full", "micro_batch": 3}, "multiple of micro_batch"),
        ({"extends": "llava-1.5-full", "cards": 3}, "multiple of micro_batch"),
        ({"extends": "llava-1.5-lora", "cards": 4}, "several cards"),
        ({**read_recipe({"extends": "llava-1.5-full"}).model_dump(), "extends": "llava-1.5-lora"}, "resolved from"),
    ],
)
def test_wrong_recipes_are_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigInvalid, match=named):
        read_recipe(values)


@pytest.mark.parametrize("name", [name for name in named_recipes(FOLDER) if name.startswith("llava-1.5")])
def test_another_named_recipe_is_chosen_for_a_run(name: str) -> None:
    """As docs/recipes.md has it; what goes on top of it may stand before it."""
    task = LlavaTask(load(paths.TASKS / "llava" / "task.yaml"))
    chosen = task.with_config(override(task.config, [f"recipe.extends={name}"]))
    assert chosen.config.recipe == read_recipe({"extends": name}).model_dump(mode="json")
    settings = ["recipe.precision=mixed", "recipe.image_workers=3", f"recipe.extends={name}"]
    changed = task.with_config(override(task.config, settings)).config.recipe
    assert changed == chosen.config.recipe | {"precision": "mixed", "image_workers": 3}


def test_a_task_s_configuration_says_all_that_is_trained() -> None:
    """So that the digest under which references are kept is of the values, and another recipe has its own."""
    task = LlavaTask(load(paths.TASKS / "llava" / "task.yaml"))
    other = task.with_config(task.config.model_copy(update={"recipe": {"extends": "llava-1.5-lora"}}))
    assert task.config.recipe["lr"] == 2e-5
    assert task.config.recipe != other.config.recipe
    assert other.with_config(other.config).config == other.config


# --- what is trained, and in which precision ---


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_assets("llava-1.5", tmp_path_factory.mktemp("assets") / "a")


def _trained(assets: Path, **values: Any) -> dict[str, torch.dtype]:
    recipe = read_recipe({**QUICK, **values})
    tuned = tune(checkpoint.load(assets / "base")[0], recipe)
    return {name: p.dtype for name, p in tuned.model.named_parameters() if p.requires_grad}


@pytest.mark.train
def test_full_tuning_trains_all_but_the_tower_in_fp32(assets: Path) -> None:
    trained = _trained(assets)
    assert not any("vision_tower" in name for name in trained)
    assert any("multi_modal_projector" in name for name in trained)
    assert set(trained.values()) == {torch.float32}
    assert set(_trained(assets, precision="bf16").values()) == {torch.bfloat16}


@pytest.mark.train
def test_lora_trains_adapters_and_projector_and_the_head_where_asked(assets: Path) -> None:
    with_head = _trained(assets, tuning="lora")
    without = _trained(assets, tuning="lora", lora={"train_head": False})
    assert any("lm_head" in name for name in with_head)
    assert not any("lm_head" in name for name in without)
    assert all("lora_" in name or "multi_modal_projector" in name for name in without)
    adapted = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in without if "lora_" in name}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.train
@pytest.mark.parametrize("name", ["qwen2-vl", "smolvlm"])
def test_a_frozen_tower_leaves_the_projector_to_be_trained(name: str, tmp_path: Path) -> None:
    model = checkpoint.load(make(name, tmp_path))[0]
    tuned = tune(model, read_recipe({**QUICK, "family": name}))
    assert not any(p.requires_grad for p in tuned.family.tower(model).parameters() if not _within(p, tuned))
    assert all(p.requires_grad for p in tuned.family.projector(model).parameters())


def _within(parameter: torch.nn.Parameter, tuned: Any) -> bool:
    return any(parameter is one for one in tuned.family.projector(tuned.model).parameters())


@pytest.mark.train
@pytest.mark.parametrize(
    ("optional", "module", "package"),
    [
        ({"optimiser": "adamw-8bit"}, "bitsandbytes", "bitsandbytes"),
        ({"liger": True}, "liger_kernel", "liger-kernel"),
    ],
)
def test_a_missing_optional_package_is_named(
    optional: dict[str, Any],
    module: str,
    package: str,
    assets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigInvalid, match=package):
        _train(assets, tmp_path, range(4), **optional)


# --- whole jobs ---


def _train(assets: Path, out: Path, rows: Any, **recipe: Any) -> TrainResult:
    out.mkdir(exist_ok=True)
    (out / "selection.jsonl").write_bytes(of_rows(list(rows)).canonical())
    job = {
        "selection": str(out / "selection.jsonl"),
        "assets": str(assets),
        "recipe": {**QUICK, **recipe},
        "seed": 1,
        "out": str(out),
    }
    return TrainResult.model_validate(Trainer().train(job, lambda what, done: None))


@pytest.mark.train
@pytest.mark.parametrize("name", ["qwen2-vl", "qwen2.5-vl", "smolvlm"])
def test_every_family_trains_and_is_saved_as_bf16(name: str, tmp_path: Path) -> None:
    assets = make_assets(name, tmp_path / "assets", rows=8)
    blank = "plain" if name.startswith("qwen") else "blank"
    result = _train(assets, tmp_path / "out", range(8), family=name, saved="bfloat16", text_rows=blank, micro_batch=2)
    weights = load_file(tmp_path / "out" / result.model / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    checkpoint.require_same_shapes(assets / "base", tmp_path / "out" / result.model)
    assert result.notes["threads"] == 1
    assert result.about["device"]
    assert result.about["torch"] == torch.__version__.split("+")[0] or result.about["torch"] == torch.__version__


@pytest.mark.train
def test_masked_and_cut_rows_are_counted_in_the_result(assets: Path, tmp_path: Path) -> None:
    result = _train(assets, tmp_path, range(8), max_tokens=14)
    assert result.notes["truncated_rows"] >= result.notes["fully_masked_rows"] > 0


@pytest.mark.train
def test_the_same_seed_gives_the_same_file_with_micro_batches_and_threads_for_images(
    assets: Path, tmp_path: Path
) -> None:
    files = []
    for n in range(2):
        _train(assets, tmp_path / str(n), range(16), text_rows="blank", micro_batch=2, image_workers=1 + 3 * n)
        files.append((tmp_path / str(n) / "model" / "model.safetensors").read_bytes())
    assert files[0] == files[1]


# --- bad input: told before training ---


@pytest.mark.train
def test_a_truncated_image_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    assets = make_assets("smolvlm", tmp_path / "assets", rows=4)
    path = assets / "pool" / "images" / "1.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(AssetsInvalid, match=r"1\.png"):
        _train(assets, tmp_path / "out", range(4), family="smolvlm")
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.train
def test_a_recipe_for_another_family_is_refused(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match=r"family llava-1\.5.*smolvlm"):
        _train(assets, tmp_path, range(4), family="smolvlm")


def _changed(tmp_path: Path, change: Any) -> Path:
    folder = make("llava-1.5", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _first(weights: dict[str, torch.Tensor]) -> str:
    return min(weights)


@pytest.mark.train
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: w.update({_first(w): w[_first(w)].to(torch.int8)}), "of type I8"),
        (lambda w: w.update({_first(w): w[_first(w)].to(torch.float64)}), "of type F64"),
        (lambda w: w.pop(_first(w)), "1 weights of the model are not in the file"),
        (lambda w: w.update({_first(w): w[_first(w)] * float("nan")}), "no numbers"),
        (lambda w: w.update({_first(w): w[_first(w)][:1].clone()}), "cannot be loaded"),
    ],
)
def test_a_wrong_checkpoint_is_told_by_what_is_wrong(change: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match=named):
        checkpoint.load(_changed(tmp_path, change))


@pytest.mark.train
def test_another_size_of_the_same_family_is_told_apart(tmp_path: Path) -> None:
    base = make("llava-1.5", tmp_path / "base")
    other = _changed(tmp_path, lambda w: w.update({_first(w): w[_first(w)][:1].clone()}))
    with pytest.raises(AssetsInvalid, match="weights of shape"):
        checkpoint.require_same_shapes(base, other)


@pytest.mark.train
def test_a_file_that_is_no_weights_is_told(tmp_path: Path) -> None:
    folder = make("llava-1.5", tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(AssetsInvalid, match="no weights can be read"):
        checkpoint.load(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(AssetsInvalid, match="no weights can be read"):
        checkpoint.load(folder)


@pytest.mark.train
def test_code_in_a_checkpoint_is_not_run_and_nobody_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*said: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", asked)
    folder = make("llava-1.5", tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    theirs = {**settings, "model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (folder / "config.json").write_text(json.dumps(theirs))
    with pytest.raises(AssetsInvalid, match="there is no model here"):
        checkpoint.load(folder)


@pytest.mark.train
def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    folder, other = make("llava-1.5", tmp_path / "model"), make("qwen2-vl", tmp_path / "other")
    (folder / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    with pytest.raises(AssetsInvalid, match="does not know '<image>'"):
        checkpoint.load(folder)
