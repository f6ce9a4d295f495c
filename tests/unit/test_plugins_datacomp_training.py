"""Training on selected pairs: what the worker promises, equal results however computed, going on after a kill."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load, load_file, save_file

from curation_plugins.errors import AssetsInvalid
from curation_plugins.jobs import TrainResult
from curation_plugins.selection import of_arrays, read_canonical
from curation_plugins.tasks import card_processes
from curation_plugins.tasks.card_processes import Card, CardFailed, CardOutOfMemory, train_on_cards
from curation_plugins.tasks.datacomp import models, train
from curation_plugins.tasks.datacomp.fit import TrainingDiverged
from curation_plugins.tasks.datacomp.loss import Contrast
from curation_plugins.tasks.datacomp.order import Order
from curation_plugins.tasks.datacomp.recipe import read_recipe
from curation_plugins.tasks.datacomp.states import NAME, States
from curation_plugins.tasks.datacomp.train import Trainer
from small_clip_pool import make_assets, uid

RECIPE = {"extends": "tiny", "samples": 320, "batch": 32, "warmup": 2, "workers": 0, "checkpoint_steps": 3}
WEIGHTS = models.WEIGHTS

pytestmark = pytest.mark.train


def _quiet(what: str, done: float) -> None:
    pass


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_assets(tmp_path_factory.mktemp("pool") / "assets")


def _job(assets: Path, out: Path, rows: range = range(60), seed: int = 0, **recipe: Any) -> dict[str, Any]:
    out.mkdir()
    weights = np.ones(len(rows))
    weights[:3] = 2
    of_arrays(np.array(rows), weights).write(out.parent / f"{out.name}.npy")
    return {
        "selection": str(out.parent / f"{out.name}.npy"),
        "assets": str(assets),
        "recipe": {**RECIPE, **recipe},
        "seed": seed,
        "out": str(out),
        "kept": str(out.parent / f"{out.name}-kept"),
    }


def _train(assets: Path, out: Path, **how: Any) -> tuple[TrainResult, bytes]:
    result = TrainResult.model_validate(Trainer().train(_job(assets, out, **how), _quiet))
    return result, (out / result.model / WEIGHTS).read_bytes()


def _distance(one: bytes, other: bytes) -> float:
    """Mean over the weights. The largest says nothing: Adam makes a whole step of a gradient that is but rounding."""
    first, second = load(one), load(other)
    return float(torch.cat([(value - second[key]).abs().flatten() for key, value in first.items()]).mean())


# --- what comes out ---


def test_the_model_opens_as_a_local_folder_of_open_clips(assets: Path, tmp_path: Path) -> None:
    result, _ = _train(assets, tmp_path / "out")
    folder = tmp_path / "out" / result.model
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    opened = models.open_model(folder, read_recipe(RECIPE), assets, torch.device("cpu"))
    for key, value in model.state_dict().items():
        assert torch.equal(value, opened.model.state_dict()[key])
    assert repr(preprocess) == repr(opened.preprocess)
    assert opened.tokenizer(["a red square"]).shape == (1, 16)
    assert not opened.model.training


def test_counts_of_the_record(assets: Path, tmp_path: Path) -> None:
    result, _ = _train(assets, tmp_path / "out")
    assert (result.steps, result.samples) == (10, 320)
    assert result.notes["pairs"] == 60
    assert result.notes["pairs_a_pass"] == 63  # three of them twice
    assert result.notes["passes"] == pytest.approx(320 / 63, abs=1e-3)
    assert result.notes["broken_images"] == result.notes["replaced_samples"] == result.notes["resumed_at"] == 0
    assert result.about["open_clip_torch"] == open_clip.__version__
    assert set((tmp_path / "out").iterdir()) == {tmp_path / "out" / "model"}


def test_the_loss_falls(assets: Path, tmp_path: Path) -> None:
    short, _ = _train(assets, tmp_path / "short", samples=64)
    long, _ = _train(assets, tmp_path / "long", samples=3200)
    assert long.loss < 0.8 * short.loss


def test_an_untrained_model_is_the_same_each_time(assets: Path) -> None:
    one, other = (models.open_model(None, read_recipe(RECIPE), assets) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))
    assert one.text_key == other.text_key


def test_options_of_the_tokenizer_are_in_its_key(assets: Path, tmp_path: Path) -> None:
    recipe, other = read_recipe(RECIPE), make_assets(tmp_path / "assets")
    file = other / "model" / models.CONFIG
    told = json.loads(file.read_text())
    told["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"strip_sep_token": True}
    file.write_text(json.dumps(told))
    assert models.open_model(None, recipe, assets).text_key != models.open_model(None, recipe, other).text_key


def test_a_fixed_beginning_is_the_same_under_every_seed_and_the_training_is_not(assets: Path, tmp_path: Path) -> None:
    def begun(init_seed: int | None, seed: int) -> bytes:
        recipe = read_recipe({**RECIPE, "init_seed": init_seed})
        model = models.fresh(recipe, assets, seed, torch.device("cpu"))
        return b"".join(weights.detach().numpy().tobytes() for weights in model.parameters())

    assert begun(7, 1) == begun(7, 2) == begun(None, 7)
    assert begun(None, 1) != begun(None, 2)
    # what differs is the order and the crops of the pairs
    assert (
        _train(assets, tmp_path / "a", seed=1, init_seed=7)[1]
        != _train(assets, tmp_path / "b", seed=2, init_seed=7)[1]
    )


def test_the_tokenizers_files_go_with_the_model(assets: Path, tmp_path: Path) -> None:
    recipe, own = read_recipe(RECIPE), tmp_path / "assets"
    make_assets(own)
    models.save(tmp_path / "saved", models.fresh(recipe, own, 0, torch.device("cpu")), recipe, own)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "saved" / name).read_bytes() == (own / "model" / name).read_bytes()


# --- the same bits ---


def test_a_training_repeats_bit_for_bit(assets: Path, tmp_path: Path) -> None:
    first = _train(assets, tmp_path / "a")[1]
    assert _train(assets, tmp_path / "b", workers=2)[1] == first
    assert _train(assets, tmp_path / "c", compact=True)[1] == first
    assert _train(assets, tmp_path / "d", seed=1)[1] != first
    assert _train(assets, tmp_path / "e", rows=range(1, 61))[1] != first


def test_checkpointed_activations_change_nothing(assets: Path, tmp_path: Path) -> None:
    assert _train(assets, tmp_path / "a")[1] == _train(assets, tmp_path / "b", checkpointing=True)[1]


def test_micro_batches_give_the_weights_of_the_whole_batch(assets: Path, tmp_path: Path) -> None:
    assert _distance(_train(assets, tmp_path / "a")[1], _train(assets, tmp_path / "b", micro_batch=8)[1]) < 1e-6


def test_the_gradient_of_parts_is_that_of_the_batch(assets: Path) -> None:
    recipe = read_recipe(RECIPE)
    model = models.fresh(recipe, assets, 0, torch.device("cpu")).double()
    images, tokens = torch.rand(12, 3, 16, 16, dtype=torch.float64), torch.randint(1, 13, (12, 16))
    found = []
    for size in (12, 4, 5):
        model.zero_grad()
        parts = [(images[at : at + size], tokens[at : at + size]) for at in range(0, 12, size)]
        loss = Contrast().backward(model, parts, half=False)
        found.append((loss, {name: weights.grad.clone() for name, weights in model.named_parameters()}))
    for loss, gradients in found[1:]:
        assert float(loss) == pytest.approx(float(found[0][0]), rel=1e-12)
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, found[0][1][name], atol=1e-12), name


@pytest.mark.slow
def test_two_cards_give_the_weights_of_one(assets: Path, tmp_path: Path) -> None:
    one, many = _train(assets, tmp_path / "a"), _train(assets, tmp_path / "b", cards=2, micro_batch=8)
    assert _distance(one[1], many[1]) < 1e-6
    assert many[0].loss == pytest.approx(one[0].loss, abs=1e-5)


def _on_two_cards(job: dict[str, Any], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each of 120 rows comes to each of two cards, shape (120,)."""
    repeats = np.frombuffer(read_canonical(Path(job["selection"])).weights).astype(np.int64)
    seen = Order(repeats, job["seed"]).at(0, 32 * steps).reshape(2 * steps, 16)
    first, second = (np.bincount(seen[card::2].ravel(), minlength=120) for card in (0, 1))
    return first, second


def _numbers() -> list[int]:
    """Of 120 pairs, in the order of rows."""
    return sorted(range(120), key=uid)


@pytest.mark.slow
def test_broken_images_are_counted_over_all_cards_and_over_a_kill(tmp_path: Path) -> None:
    job = _job(tmp_path / "assets", tmp_path / "two", range(120), cards=2)
    first, second = _on_two_cards(job, 9)
    make_assets(tmp_path / "assets", pairs=60, broken=[_numbers()[int(np.argmax(second - first))]])
    one = Trainer().train(_job(tmp_path / "assets", tmp_path / "one", range(120)), _quiet)["notes"]
    two = Trainer().train(job, _quiet)["notes"]
    (tmp_path / "again").mkdir()
    again = Trainer().train({**job, "out": str(tmp_path / "again")}, _quiet)["notes"]  # from the state that was kept
    assert (two["resumed_at"], again["resumed_at"]) == (0, 9)
    for name in ("broken_images", "replaced_samples"):
        assert one[name] == two[name] == again[name] > 0


@pytest.mark.slow
def test_more_than_a_hundredth_broken_over_all_cards_stops_the_training(tmp_path: Path) -> None:
    job = _job(tmp_path / "assets", tmp_path / "out", range(120), cards=2, samples=64)
    first, second = _on_two_cards(job, 2)
    broken = [_numbers()[int(np.argmax(more - 9 * less))] for more, less in ((first, second), (second, first))]
    make_assets(tmp_path / "assets", pairs=60, broken=broken)
    with pytest.raises(AssetsInvalid, match=r"^2 of the 120 selected images cannot be decoded") as told:
        Trainer().train(job, _quiet)
    assert "Download them again" in str(told.value)


def _dies(card: Card, rank: int) -> None:
    if card.rank != rank:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_on_all_cards() -> None:
    with pytest.raises(CardFailed, match=r"^process 1 terminated with signal SIGKILL$"):
        train_on_cards(_dies, 1, 2, _quiet)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (AssetsInvalid("shard 3 is gone", hint="Fetch it."), AssetsInvalid, "shard 3 is gone\nFetch it."),
        (TrainingDiverged("no number"), CardFailed, "process 2 of 3: TrainingDiverged: no number"),
        (torch.cuda.OutOfMemoryError("of 2 GiB"), CardOutOfMemory, "process 2 of 3: OutOfMemoryError: of 2 GiB"),
    ],
    ids=["assets", "diverged", "memory"],
)
def test_the_first_process_to_fail_is_told_and_by_its_message(
    tmp_path: Path, error: Exception, kind: type[Exception], said: str
) -> None:
    """The tracebacks, which the record has no use for, are in the log."""
    card_processes._leave_word(tmp_path, 1, error)
    card_processes._leave_word(tmp_path, 0, RuntimeError("connection closed by peer"))
    found = card_processes._what_failed(tmp_path, 3)
    assert (type(found), str(found)) == (kind, said)


# --- going on ---

KILLED = """
import json, os, signal, sys
from curation_plugins.tasks.datacomp.train import Trainer

def progress(what, done):
    if done >= 0.8:  # after step 8 of 10; the last state is of step 6
        os.kill(os.getpid(), signal.SIGKILL)

Trainer().train(json.loads(sys.argv[1]), progress)
"""


def test_a_killed_training_goes_on_and_gives_the_same_bits(assets: Path, tmp_path: Path) -> None:
    whole = _train(assets, tmp_path / "whole", rows=range(60))[1]
    job = _job(assets, tmp_path / "killed", rows=range(60))
    died = subprocess.run([sys.executable, "-c", KILLED, json.dumps(job)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert died.returncode == -signal.SIGKILL
    assert not list((tmp_path / "killed").iterdir())
    result = TrainResult.model_validate(Trainer().train(job, _quiet))
    assert (result.notes["resumed_at"], result.steps) == (6, 10)
    assert (tmp_path / "killed" / "model" / WEIGHTS).read_bytes() == whole


def test_broken_images_are_counted_once_over_a_kill(tmp_path: Path) -> None:
    damaged = make_assets(tmp_path / "assets", pairs=60, broken=[11])
    rows = range(120)
    counts = TrainResult.model_validate(Trainer().train(_job(damaged, tmp_path / "whole", rows), _quiet)).notes
    job = _job(damaged, tmp_path / "stopped", rows, workers=1)

    def stop(what: str, done: float) -> None:
        if done >= 0.8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer().train(job, stop)
    resumed = TrainResult.model_validate(Trainer().train(job, _quiet)).notes
    assert resumed["resumed_at"] == 6
    for name in ("broken_images", "replaced_samples"):
        assert resumed[name] == counts[name] > 0


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"rows": range(1, 61)}, {"lr": 1e-4}], ids=["seed", "rows", "recipe"]
)
def test_another_trainings_state_is_not_gone_on_from(assets: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    _train(assets, tmp_path / "a")
    job = _job(assets, tmp_path / "b", **change)
    assert (tmp_path / "a-kept" / NAME).exists()
    notes = Trainer().train({**job, "kept": str(tmp_path / "a-kept")}, _quiet)["notes"]
    assert notes["resumed_at"] == 0


@pytest.mark.parametrize("change", ["package", "code"])
def test_a_state_of_other_code_is_not_gone_on_from(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    _train(assets, tmp_path / "a")
    job = {**_job(assets, tmp_path / "b"), "kept": str(tmp_path / "a-kept")}
    if change == "package":
        version = importlib.metadata.version
        monkeypatch.setattr(
            train.importlib.metadata, "version", lambda name: "9" if name == "open_clip_torch" else version(name)
        )
    else:
        monkeypatch.setattr(train, "_code", lambda: "other")
    assert Trainer().train(job, _quiet)["notes"]["resumed_at"] == 0


def test_a_state_that_cannot_be_read_is_no_state(assets: Path, tmp_path: Path) -> None:
    _, wanted = _train(assets, tmp_path / "a")
    state = tmp_path / "a-kept" / NAME
    state.write_bytes(state.read_bytes()[:1000])
    job = _job(assets, tmp_path / "b")
    assert Trainer().train({**job, "kept": str(tmp_path / "a-kept")}, _quiet)["notes"]["resumed_at"] == 0
    assert (tmp_path / "b" / "model" / WEIGHTS).read_bytes() == wanted


def test_a_state_never_runs_what_is_in_it(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "hit"),)

    torch.save({"key": "k", "model": Hostile()}, tmp_path / NAME)
    assert States(tmp_path, "k").load() is None
    assert not (tmp_path / "hit").exists()


# --- what is refused ---


@pytest.mark.parametrize(("rows", "pairs"), [(28, 31), (0, 0)], ids=["few", "none"])
def test_fewer_pairs_than_a_batch_are_refused(assets: Path, tmp_path: Path, rows: int, pairs: int) -> None:
    """The task's rules refuse them before, as the agent's; here it would be ours."""
    with pytest.raises(AssetsInvalid, match=f"{pairs} pairs, repeats counted, fewer than one batch of 32"):
        Trainer().train(_job(assets, tmp_path / "out", range(rows)), _quiet)


def test_rows_of_another_pool_are_refused(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match="names row 80, and the pool has 80"):
        Trainer().train(_job(assets, tmp_path / "out", range(40, 81)), _quiet)


def test_a_loss_that_is_no_number_stops_the_training(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"step \d+ of 10"):
        Trainer().train(_job(assets, tmp_path / "out", lr=1e30), _quiet)


@pytest.mark.parametrize("damage", ["missing", "cut", "nan", "shape"])
def test_a_model_that_is_none_is_refused(assets: Path, tmp_path: Path, damage: str) -> None:
    result, _ = _train(assets, tmp_path / "out", samples=32)
    weights = tmp_path / "out" / result.model / WEIGHTS
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        found = load_file(weights)
        found["visual.proj"] = found["visual.proj"] * np.nan if damage == "nan" else found["visual.proj"][:4].clone()
        save_file(found, weights)
    with pytest.raises(AssetsInvalid):
        models.open_model(weights.parent, read_recipe(RECIPE), assets)
