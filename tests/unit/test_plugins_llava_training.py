"""Encoding, training, scoring and signals of the LLaVA tasks, on the real classes with an almost untrained model."""

from __future__ import annotations

import copy
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.jobs import ItemResult, TrainResult
from curation_plugins.selection import of_rows
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.encode import Encoded, Encoder, collate
from curation_plugins.tasks.llava.evaluate import Evaluator
from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.generate import greedy_answers
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.rows import Row
from curation_plugins.tasks.llava.signals import Signaller
from curation_plugins.tasks.llava.tiny.pool import EPOCH
from curation_plugins.tasks.llava.train import PoolState, Trainer
from curation_plugins.tasks.llava.vision import load_pixels
from llava_micro import RECIPE, ROWS, micro_task

pytestmark = pytest.mark.train


def _quiet(what: str, done: float) -> None:
    pass


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    micro_task().prepare(folder, _quiet)
    return folder


@pytest.fixture(scope="module")
def state(assets: Path) -> PoolState:
    return PoolState(assets, read_recipe(RECIPE))


def _row(*turns: str, image: str | None = "images/000000.png") -> Row:
    sides = [("human", "gpt")[n % 2] for n in range(len(turns))]
    pairs = [{"from": side, "value": text} for side, text in zip(sides, turns, strict=True)]
    return Row.model_validate({"id": "0", "image": image, "conversations": pairs})


def _encode(state: PoolState, row: Row, max_tokens: int = 64) -> tuple[Any, Encoded]:
    tokenizer = state.processor.tokenizer
    return tokenizer, Encoder(state.processor, 4, max_tokens).rows([row])[0]


def _train(trainer: Trainer, assets: Path, out: Path, rows: range, seed: int, **recipe: Any) -> bytes:
    out.mkdir()
    (out / "selection.jsonl").write_bytes(of_rows(list(rows)).canonical())
    job = {
        "selection": str(out / "selection.jsonl"),
        "assets": str(assets),
        "recipe": {**RECIPE, **recipe},
        "seed": seed,
        "out": str(out),
    }
    result = TrainResult.model_validate(trainer.train(job, _quiet))
    assert result.steps == 4
    return (out / result.model / "model.safetensors").read_bytes()


# --- what carries loss ---


def test_loss_is_on_the_answer_and_the_end_token(state: PoolState) -> None:
    tokenizer, encoded = _encode(state, _row("<image>\nWhat is it?", "a red circle"))
    assert tokenizer.decode(encoded.ids[encoded.supervised]) == " a red circle</s>"
    assert encoded.ids[-1] == tokenizer.eos_token_id
    assert encoded.supervised[-1]


def test_an_image_takes_four_positions_without_loss(state: PoolState) -> None:
    _, encoded = _encode(state, _row("<image>\nWhat is it?", "red"))
    places = encoded.ids == state.model.config.image_token_id
    assert places.sum() == 4
    assert not encoded.supervised[places].any()


def test_every_answer_of_a_long_dialogue_carries_loss(state: PoolState) -> None:
    tokenizer, encoded = _encode(state, _row("<image>\na?", "yes", "b?", "no"))
    assert tokenizer.decode(encoded.ids[encoded.supervised]) == " yes</s> no</s>"


def test_a_text_row_has_no_image_tokens(state: PoolState) -> None:
    tokenizer, encoded = _encode(state, _row("hello", "hi", image=None))
    assert state.model.config.image_token_id not in encoded.ids
    assert tokenizer.decode(encoded.ids) == "USER: hello ASSISTANT: hi</s>"


def test_truncation_cuts_the_end_and_its_loss(state: PoolState) -> None:
    _, whole = _encode(state, _row("<image>\nWhat is it?", "red"))
    _, cut = _encode(state, _row("<image>\nWhat is it?", "red"), max_tokens=len(whole.ids) - 1)
    assert cut.ids.tolist() == whole.ids.tolist()[:-1]
    assert cut.supervised.sum() == whole.supervised.sum() - 1


def test_a_prompt_is_what_training_showed_before_the_answer(state: PoolState) -> None:
    _, row = _encode(state, _row("<image>\nWhat colour is it?", "red"))
    (prompt,) = Encoder(state.processor, 4, 64).prompts(["What colour is it?"], ["i"])
    assert prompt.ids.tolist() == row.ids[~row.supervised].tolist()


def test_our_encoding_is_the_processors_own(state: PoolState, assets: Path) -> None:
    _, ours = _encode(state, _row("<image>\nWhat is it?", "red"))
    messages = _row("<image>\nWhat is it?", "red").messages()
    text = state.processor.apply_chat_template(messages, tokenize=False)
    pixels = load_pixels(state.processor, [next((layout.pool(assets) / "images").iterdir())])
    theirs = state.processor.tokenizer(text.replace("<image>", "<image>" * 4))["input_ids"]
    assert ours.ids.tolist() == theirs
    assert pixels.shape == (1, 3, 32, 32)


def test_fully_masked_rows_are_counted_not_silent(state: PoolState) -> None:
    _, good = _encode(state, _row("hello", "hi", image=None))
    _, masked = _encode(state, _row("hello there, how are you", "hi", image=None), max_tokens=4)
    model = copy.deepcopy(state.model)
    recipe = read_recipe({**RECIPE, "batch": 1})
    fitted = fit(model, [good, masked], [1.0, 1.0], state.features, recipe, 0, state.pad_id)
    assert fitted.fully_masked_rows == 1
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


# --- the fast forward pass is the model's own ---


def test_answer_logits_equal_the_plain_forward_pass(state: PoolState, assets: Path) -> None:
    rows = tuple(range(24))
    encoded = state.encoded(rows)
    batch = collate(encoded, state.pad_id)
    with torch.no_grad():
        logits, targets, _ = answer_logits(state.model, batch, state.features(batch.images))
        pixels = load_pixels(state.processor, [layout.pool(assets) / name for name in batch.images])
        mask = torch.tensor([[n < len(e.ids) for n in range(batch.ids.shape[1])] for e in encoded])
        plain = state.model(input_ids=batch.ids, pixel_values=pixels, attention_mask=mask, labels=batch.labels)
        wanted = batch.labels[:, 1:] != -100
    torch.testing.assert_close(logits, plain.logits[:, :-1][wanted], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.nn.functional.cross_entropy(logits, targets), plain.loss, rtol=1e-4, atol=1e-5)
    assert len(batch.images) < len(rows), "text rows should be among them"


def test_batched_answers_equal_the_models_own_one_by_one(state: PoolState, assets: Path) -> None:
    questions = ["What is it?", "How many shapes do you see at the top left?"] * 3
    paths = sorted((layout.pool(assets) / "images").iterdir())[:6]
    pixels = load_pixels(state.processor, paths)
    prompts = Encoder(state.processor, 4, 64).prompts(questions, ["i"] * 6)
    tokenizer = state.processor.tokenizer
    ours = greedy_answers(state.model, tokenizer, prompts, pixels, batch=4, max_new_tokens=6)
    for place, prompt in enumerate(prompts):
        out = state.model.generate(
            input_ids=torch.from_numpy(prompt.ids)[None],
            pixel_values=pixels[place : place + 1],
            do_sample=False,
            max_new_tokens=6,
        )
        text = tokenizer.decode(out[0, len(prompt.ids) :], skip_special_tokens=True).strip()
        assert ours[place] == text


# --- training ---


def test_same_seed_gives_the_same_file_cold_or_warm(assets: Path, tmp_path: Path) -> None:
    warm = Trainer()
    first = _train(warm, assets, tmp_path / "a", range(40), seed=1)
    other = _train(warm, assets, tmp_path / "b", range(100, 140), seed=1)
    again = _train(warm, assets, tmp_path / "c", range(40), seed=1)
    cold = _train(Trainer(), assets, tmp_path / "d", range(40), seed=1)
    assert first == again == cold
    assert first != other
    assert first != _train(warm, assets, tmp_path / "e", range(40), seed=2)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_the_tower_stays_and_the_rest_moves(tuning: str, assets: Path, tmp_path: Path) -> None:
    _train(Trainer(), assets, tmp_path / "a", range(40), seed=1, tuning=tuning)
    before = checkpoint.load(layout.base_model(assets))[0].state_dict()
    after = checkpoint.load(tmp_path / "a" / "model")[0].state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        same = torch.equal(tensor, after[name])
        if "vision_tower" in name:
            assert same, name
        elif any(part in name for part in ("q_proj", "down_proj", "projector", "lm_head")):
            assert not same, name


def test_a_rows_weight_matters(state: PoolState) -> None:
    rows = state.encoded(tuple(range(8)))

    def trained(weights: list[float]) -> Any:
        model = copy.deepcopy(state.model)
        fit(model, rows, weights, state.features, read_recipe(RECIPE), 0, state.pad_id)
        return model.lm_head.weight.detach()

    assert torch.equal(trained([1.0] * 8), trained([1.0] * 8))
    assert not torch.equal(trained([1.0] * 8), trained([5.0] + [1.0] * 7))


def test_averaging_saves_the_mean_of_the_last_weights(state: PoolState) -> None:
    rows = state.encoded(tuple(range(8)))

    def trained(**recipe: Any) -> Any:
        model = copy.deepcopy(state.model)
        values = {**RECIPE, "steps": 2, "average_last": 0.0, **recipe}
        fit(model, rows, [1.0] * 8, state.features, read_recipe(values), 0, state.pad_id)
        return model.lm_head.weight.detach()

    last, mean_of_one = trained(), trained(average_last=0.5)
    mean_of_two = trained(average_last=0.99)
    torch.testing.assert_close(last, mean_of_one)
    assert not torch.equal(last, mean_of_two)


# --- scoring and signals ---


@pytest.mark.parametrize("split", ["public", "sealed"])
def test_every_item_of_a_half_is_scored(split: str, assets: Path, tmp_path: Path) -> None:
    job = {
        "model": None,
        "assets": str(assets),
        "split": split,
        "recipe": RECIPE,
        "out": str(tmp_path / "items.jsonl"),
    }
    assert Evaluator().evaluate(job, _quiet) == {"items": 100}
    lines = (tmp_path / "items.jsonl").read_text().splitlines()
    results = [ItemResult.model_validate_json(line) for line in lines]
    assert len({(result.benchmark, result.item) for result in results}) == 100


def test_signals_come_in_the_order_asked_for(assets: Path) -> None:
    worker = Signaller()

    def ask(name: str, rows: list[int]) -> list[Any]:
        job = {"name": name, "rows": rows, "assets": str(assets), "recipe": RECIPE}
        values: list[Any] = worker.signal(job, _quiet)["values"]
        return values

    for signal in micro_task().signals():
        forward, backward = ask(signal.name, list(range(30))), ask(signal.name, list(range(29, -1, -1)))
        torch.testing.assert_close(torch.tensor(forward), torch.tensor(backward[::-1]))
    with (layout.pool(assets) / "signals" / "signals.csv").open() as file:
        shipped = [float(line["answer_loss"]) for line in csv.DictReader(file)]
    torch.testing.assert_close(
        torch.tensor(ask("answer-loss", [3, 200])),
        torch.tensor([shipped[3], shipped[200]]),
        rtol=1e-3,
        atol=1e-4,
    )


# --- assets and the plugin's side ---


def test_the_assets_are_complete_and_the_pool_tells_no_time(assets: Path) -> None:
    task = micro_task()
    assert task.pool_rows(assets) == ROWS
    truth, sources = task.truth(assets), task.sources(assets)
    assert truth is not None
    assert sources is not None
    assert len(truth) == len(sources) == ROWS
    assert {path.stat().st_mtime for path in layout.pool(assets).rglob("*")} == {EPOCH}
    names = {path.name for path in layout.pool(assets).iterdir()}
    assert names == {"rows.jsonl", "images", "signals"}
    card = task.row_card(0, assets)
    assert card is not None
    assert "<image>" not in card.turns[0][1]


def test_assets_are_named_by_what_they_are_made_of() -> None:
    task = micro_task()
    retrained = task.config.model_copy(update={"recipe": {**RECIPE, "lr": 0.5}})
    reseeded = task.config.model_copy(update={"assets": {**task.config.assets, "seed": 9}})
    assert task.with_config(retrained).assets_key() == task.assets_key()
    assert task.with_config(reseeded).assets_key() != task.assets_key()


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("recipe", {**RECIPE, "epochs": 1}, "epochs and steps"),
        ("recipe", {**RECIPE, "lrate": 1}, "recipe.lrate"),
        ("assets", {"rows": 1}, "assets.rows"),
        ("benchmarks", ("digits", "chess"), "chess"),
    ],
)
def test_wrong_numbers_are_named(part: str, value: Any, named: str) -> None:
    task = micro_task()
    with pytest.raises(ConfigInvalid, match=named):
        task.with_config(task.config.model_copy(update={part: value}))


def test_a_failed_prepare_says_what_the_process_said(tmp_path: Path) -> None:
    (tmp_path / "pool" / "images").mkdir(parents=True)  # prepare wants the folder to be empty
    with pytest.raises(AssetsInvalid, match="FileExistsError"):
        micro_task().prepare(tmp_path, _quiet)


def test_a_damaged_image_is_named(assets: Path, tmp_path: Path) -> None:
    broken = tmp_path / "x.png"
    whole = next((layout.pool(assets) / "images").iterdir()).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    processor = checkpoint.load(layout.base_model(assets))[1]
    with pytest.raises(AssetsInvalid, match=r"x\.png"):
        load_pixels(processor, [broken])


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match="no LLaVA model"):
        checkpoint.load(tmp_path)


def test_the_plugins_side_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, curation_plugins.tasks.llava.task\n"
        "print(json.dumps(sorted({'torch', 'transformers', 'numpy', 'sklearn'} & set(sys.modules))))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == []


def test_recipe_steps_follow_epochs_or_are_given() -> None:
    assert Recipe(epochs=1, batch=16, lr=1e-3).total_steps(10_000) == 625
    assert Recipe(steps=7, batch=16, lr=1e-3).total_steps(10_000) == 7
