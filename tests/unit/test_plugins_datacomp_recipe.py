"""DataComp's small recipe, held against the code that open_clip trains with."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transform import AugmentationCfg

from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.tasks.datacomp import layout, models
from curation_plugins.tasks.datacomp.feed import Batch, Feed
from curation_plugins.tasks.datacomp.fit import fit, make_optimiser
from curation_plugins.tasks.datacomp.pairs import to_model
from curation_plugins.tasks.datacomp.recipe import Recipe, read_recipe
from curation_plugins.tasks.datacomp.recipes import FOLDER
from curation_plugins.tasks.datacomp.states import States
from curation_plugins.tasks.named_recipes import named_recipes
from small_clip_pool import write_model

SMALL = read_recipe({"extends": "small"})


def test_the_small_recipe_is_the_published_one() -> None:
    """scale_configs.py of DataComp, and table 14 of its paper."""
    assert (SMALL.model, SMALL.batch, SMALL.samples) == ("ViT-B-32", 4096, 12_800_000)
    assert (SMALL.lr, SMALL.warmup, SMALL.weight_decay) == (5e-4, 500, 0.2)
    assert (SMALL.beta1, SMALL.beta2, SMALL.eps) == (0.9, 0.98, 1e-6)
    assert SMALL.precision == "mixed"
    assert SMALL.crop == AugmentationCfg().scale


def test_open_clips_own_defaults_for_this_model_are_the_recipes() -> None:
    params = pytest.importorskip("open_clip_train.params")
    theirs = params.get_default_params(SMALL.model)
    assert theirs == {"lr": SMALL.lr, "beta1": SMALL.beta1, "beta2": SMALL.beta2, "eps": SMALL.eps}
    assert params.parse_args(["--model", SMALL.model]).wd == SMALL.weight_decay


@pytest.mark.parametrize("name", named_recipes(FOLDER))
def test_every_named_recipe_can_be_read_and_written_back(name: str) -> None:
    recipe = read_recipe({"extends": name})
    assert read_recipe(recipe.applied()) == recipe


@pytest.mark.parametrize("workers", [0, 4, 6])
@pytest.mark.parametrize("cards", [1, 4])
def test_the_number_of_steps_does_not_depend_on_workers_or_cards(workers: int, cards: int) -> None:
    assert read_recipe({"extends": "small", "workers": workers, "cards": cards}).steps == 3125


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 4096, "micro_batch": 1000}, "multiple of micro_batch"),
        ({"batch": 4096, "cards": 3}, "multiple of micro_batch"),
        ({"samples": 100}, "samples must be at least batch"),
        ({"crop": [0.9, 1.1]}, "crop"),
        ({"shuffle_rows": 10}, "shuffle_run"),
        ({"epochs": 3}, "recipe.epochs"),
    ],
    ids=["micro-batch", "cards", "no-step", "crop", "window", "unknown"],
)
def test_a_wrong_recipe_is_refused_by_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        read_recipe({"extends": "small", **values})


def test_a_model_that_open_clip_does_not_know_is_named(tmp_path: Path) -> None:
    recipe = read_recipe({"extends": "small", "model": "ViT-B-33"})
    with pytest.raises(AssetsInvalid, match="ViT-B-33"):
        models.configuration(recipe, tmp_path)


# --- beside open_clip's own training program ---


@pytest.fixture
def their_main(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """open_clip_train.main; it imports pandas, for tables of images only, which is not installed for it."""
    if "pandas" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pandas", ModuleType("pandas"))
    return importlib.import_module("open_clip_train.main")


class _Given(Feed):
    """These batches, whatever the recipe's order says."""

    def __init__(self, pixels: list[torch.Tensor], texts: list[torch.Tensor], recipe: Recipe) -> None:
        super().__init__(None, None, None, (16, 16), recipe, 0)  # type: ignore[arg-type]
        self._given = [Batch(p, t, frozenset(), 0) for p, t in zip(pixels, texts, strict=True)]

    def batches(self, first: int) -> Generator[Batch, None, None]:
        yield from self._given[first:]


class _Data:
    """What open_clip's program trains on: as much of it as it asks for."""

    def __init__(self, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        loader: Any = _Loader(batches)
        loader.num_batches = len(batches)
        loader.num_samples = sum(len(texts) for _, texts in batches)
        self.dataloader = loader

    def set_epoch(self, epoch: int) -> None:
        pass


class _Loader(list[Any]):
    pass


def _groups(optimiser: torch.optim.Optimizer) -> list[Any]:
    """Settings and sizes of the groups, without the rate of the moment."""
    kept = ("weight_decay", "betas", "eps", "amsgrad", "maximize")
    return [
        ([group[key] for key in kept], [tuple(weights.shape) for weights in group["params"]])
        for group in optimiser.param_groups
    ]


class _Loss(torch.nn.Module):
    """open_clip's, noting what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = open_clip.ClipLoss()
        self.given: list[float] = []

    def forward(self, **features: Any) -> Any:
        out = self.inner(**features)
        self.given.append(next(iter(out.values())).item())
        return out


@pytest.mark.parametrize("passes", [1, 2], ids=["whole", "micro-batches"])
def test_optimiser_schedule_and_losses_are_those_of_open_clips_own_program(
    their_main: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, passes: int
) -> None:
    """Both train the same small model on the same made batches, theirs through its command line.

    With micro-batches its temperature gets the gradient twice, which Adam's normalisation takes back but for epsilon.
    """
    steps, batch, warmup = 12, 16, 4
    write_model(tmp_path)
    generator = torch.Generator().manual_seed(0)
    pixels = [torch.randint(0, 256, (batch, 3, 16, 16), generator=generator, dtype=torch.uint8) for _ in range(steps)]
    texts = [torch.randint(2, 13, (batch, 16), generator=generator) for _ in range(steps)]
    for one in texts:
        one[:, -1] = 1

    recipe = Recipe(
        model="own", samples=steps * batch, batch=batch, lr=SMALL.lr, warmup=warmup, weight_decay=SMALL.weight_decay,
        beta1=SMALL.beta1, beta2=SMALL.beta2, eps=SMALL.eps, precision="fp32", workers=0,
        micro_batch=batch // passes,
    )  # fmt: skip
    ours = models.fresh(recipe, tmp_path, 0, torch.device("cpu"))
    fitted = fit(ours, _Given(pixels, texts, recipe), recipe, States(None, ""), lambda step, steps, loss: None)

    given = [
        (to_model(some, (0.5,) * 3, (0.5,) * 3), words)
        for p, t in zip(pixels, texts, strict=True)
        for some, words in zip(p.chunk(passes), t.chunk(passes), strict=True)
    ]
    loss = _Loss()
    noted: dict[str, Any] = {}
    monkeypatch.setattr(their_main, "create_loss", lambda args: loss)
    monkeypatch.setattr(their_main, "get_data", lambda *a, **k: {"train": _Data(given)})
    monkeypatch.setattr(their_main, "setup_logging", lambda *a: None)
    train = their_main.train_one_epoch

    def noting(model: Any, data: Any, loss: Any, epoch: int, optimizer: Any, *rest: Any, **more: Any) -> None:
        noted.update(model=model, optimizer=optimizer)
        train(model, data, loss, epoch, optimizer, *rest, **more)

    monkeypatch.setattr(their_main, "train_one_epoch", noting)
    their_main.main([
        "--model", f"local-dir:{layout.model(tmp_path)}", "--device", "cpu", "--precision", "fp32", "--epochs", "1",
        "--batch-size", str(batch // passes), "--accum-freq", str(passes), "--lr", str(SMALL.lr),
        "--beta1", "0.9", "--beta2", "0.98", "--eps", "1e-6",
        "--wd", "0.2", "--warmup", str(warmup), "--seed", "0", "--logs", str(tmp_path / "logs"), "--name", "x",
        "--dataset-type", "synthetic", "--save-frequency", "0", "--workers", "0",
    ])  # fmt: skip

    assert fitted.losses == pytest.approx(loss.given[::passes], abs=1e-5)
    theirs = noted["model"].state_dict()
    apart = torch.cat([(value - theirs[key]).abs().flatten() for key, value in ours.state_dict().items()])
    assert float(apart.mean()) < 1e-7
    assert passes > 1 or float(apart.max()) < 1e-6
    assert _groups(make_optimiser(ours, recipe)) == _groups(noted["optimizer"])
