"""Encoding, training, scoring and signals of the LLaVA tasks, on the real classes with an almost untrained model."""

from __future__ import annotations

import copy
import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer, CLIPConfig, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.jobs import EvaluateResult, ItemResult, TrainResult
from curation_plugins.making import EPOCH
from curation_plugins.selection import of_rows
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.encode import Encoded, Encoder, collate
from curation_plugins.tasks.llava.evaluate import Evaluator
from curation_plugins.tasks.llava.fit import fit
from curation_plugins.tasks.llava.forward import answer_logits
from curation_plugins.tasks.llava.generate import Prompt, greedy_answers
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.rows import Row, RowFile
from curation_plugins.tasks.llava.shipping import write_measured
from curation_plugins.tasks.llava.signals import Signaller, gradients
from curation_plugins.tasks.llava.sketches import signs
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
    size = None if row.image is None else (32, 32)
    return tokenizer, Encoder(state.processor, state.config, max_tokens).rows([row], [size])[0]


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
    (prompt,) = Encoder(state.processor, state.config, 64).prompts(["What colour is it?"], [[(32, 32)]])
    assert prompt.ids.tolist() == row.ids[~row.supervised].tolist()


def test_our_encoding_is_the_processors_own(state: PoolState, assets: Path) -> None:
    _, ours = _encode(state, _row("<image>\nWhat is it?", "red"))
    messages = _row("<image>\nWhat is it?", "red").messages()
    text = AutoProcessor.from_pretrained(layout.base_model(assets)).apply_chat_template(messages, tokenize=False)
    pixels = load_pixels(state.processor, state.config, [next((layout.pool(assets) / "images").iterdir())])[
        "pixel_values"
    ]
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
        paths = [layout.pool(assets) / name for name in batch.images]
        pixels = load_pixels(state.processor, state.config, paths)["pixel_values"]
        mask = torch.tensor([[n < len(e.ids) for n in range(batch.ids.shape[1])] for e in encoded])
        plain = state.model(input_ids=batch.ids, pixel_values=pixels, attention_mask=mask, labels=batch.labels)
        wanted = batch.labels[:, 1:] != -100
    torch.testing.assert_close(logits, plain.logits[:, :-1][wanted], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.nn.functional.cross_entropy(logits, targets), plain.loss, rtol=1e-4, atol=1e-5)
    assert len(batch.images) < len(rows), "text rows should be among them"


def test_batched_answers_equal_the_models_own_one_by_one(state: PoolState, assets: Path) -> None:
    questions = ["What is it?", "How many shapes do you see at the top left?"] * 3
    paths = sorted((layout.pool(assets) / "images").iterdir())[:6]
    pixels = load_pixels(state.processor, state.config, paths)["pixel_values"]
    encoded = Encoder(state.processor, state.config, 64).prompts(questions, [[(32, 32)]] * 6)
    prompts = [Prompt(ids=prompt.ids, images=1, max_tokens=6) for prompt in encoded]
    tokenizer = state.processor.tokenizer
    ours = greedy_answers(
        state.model, tokenizer, prompts, lambda chosen: {"pixel_values": pixels[list(chosen)]}, batch=4
    )
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
        "evaluation": {},
        "out": str(tmp_path / "items.jsonl"),
    }
    told = EvaluateResult.model_validate(Evaluator().evaluate(job, _quiet))
    assert told.items == 100
    assert told.notes == {"asked_twice": 64, "flipped": 0, "too_long": 0}
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


def test_a_gradient_s_sketch_is_that_of_the_written_out_gradient(state: PoolState) -> None:
    """Every linear layer's gradient, projected on both sides; also when the row is not alone in its batch."""
    rows = state.encoded(tuple(range(8)))
    sketches = gradients(state.model, rows, state.features, state.pad_id, 8)
    alone = copy.deepcopy(state.model)
    batch = collate([rows[3]], state.pad_id)
    logits, targets, _ = answer_logits(alone, batch, state.features(batch.images))
    torch.nn.functional.cross_entropy(logits, targets).backward()
    layers = [one for one in alone.model.language_model.modules() if isinstance(one, torch.nn.Linear)]
    by_hand = torch.zeros(16, 16)
    for number, layer in enumerate(layers):
        left, right = signs(number, 0, layer.out_features), signs(number, 1, layer.in_features)
        by_hand += left.T @ layer.weight.grad @ right
    torch.testing.assert_close(torch.tensor(sketches[3]), by_hand.flatten(), rtol=1e-3, atol=1e-5)
    assert all(parameter.requires_grad for parameter in state.model.parameters())


def test_sketches_keep_inner_products_on_average() -> None:
    rng = torch.Generator().manual_seed(1)
    left, right = torch.randn(2, 64, 48, generator=rng)
    right = left + 0.5 * right
    kept = []
    for number in range(200):
        out, inner = signs(number, 0, 64), signs(number, 1, 48)
        kept.append(float(((out.T @ left @ inner) * (out.T @ right @ inner)).sum()))
    exact = float((left * right).sum())
    assert abs(sum(kept) / len(kept) - exact) < 0.1 * exact


def test_signals_of_an_attempt_s_model_differ_and_another_folder_is_refused(assets: Path, tmp_path: Path) -> None:
    selection = tmp_path / "selection.jsonl"
    selection.write_bytes(of_rows(list(range(40))).canonical())
    (tmp_path / "out").mkdir()
    job = {
        "selection": str(selection),
        "assets": str(assets),
        "recipe": RECIPE,
        "seed": 3,
        "out": str(tmp_path / "out"),
    }
    Trainer().train(job, _quiet)
    asked = {"name": "answer-loss", "rows": [1, 2], "assets": str(assets), "recipe": RECIPE}
    worker = Signaller()
    base = worker.signal(asked, _quiet)
    trained = worker.signal({**asked, "model": str(tmp_path / "out" / "model")}, _quiet)
    assert base["values"] != trained["values"]
    assert worker.signal(asked, _quiet)["values"] == base["values"]
    assert trained["seconds"] > 0
    with pytest.raises(AssetsInvalid):
        worker.signal({**asked, "model": str(tmp_path)}, _quiet)


def test_a_diverged_model_s_signals_are_undefined_and_no_failure(assets: Path, state: PoolState) -> None:
    worker, broken = Signaller(), copy.deepcopy(state.model)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    worker._trained = (Path("diverged"), broken)
    for name in ("answer-loss", "el2n", "gradient"):
        job = {"name": name, "rows": [0, 1], "assets": str(assets), "recipe": RECIPE, "model": "diverged"}
        assert worker.signal(job, _quiet)["values"] == [None, None]


def test_neighbours_are_other_rows_of_the_whole_pool_nearest_first(assets: Path) -> None:
    job = {"name": "neighbours", "rows": [5, 0], "assets": str(assets), "recipe": RECIPE}
    values = Signaller().signal(job, _quiet)["values"]
    vectors = np.load(layout.pool(assets) / "signals" / "embeddings.npy").astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for row, value in zip([5, 0], values, strict=True):
        near, cosine = [int(one) for one in value[:10]], value[10:]
        assert row not in near
        assert list(cosine) == sorted(cosine, reverse=True)
        np.testing.assert_allclose(vectors[near] @ vectors[row], cosine, atol=1e-4)
        others = np.delete(vectors @ vectors[row], row)
        np.testing.assert_allclose(np.sort(others)[-10:][::-1], cosine, atol=1e-4)


def test_what_ships_with_a_fetched_pool_is_measured_and_written(assets: Path, tmp_path: Path) -> None:
    """Image facts, CLIP vectors of a tiny CLIP, losses: the worker's answers become the pool's files."""
    clip, out = tmp_path / "clip", tmp_path / "signals"
    out.mkdir()
    _tiny_clip(clip, AutoTokenizer.from_pretrained(layout.base_model(assets)))
    worker, rows = Signaller(), list(RowFile(layout.rows_file(assets)))

    def ask(name: str, model: Path | None = None) -> list[Any]:
        job = {"name": name, "rows": list(range(len(rows))), "assets": str(assets), "recipe": RECIPE}
        values: list[Any] = worker.signal({**job, "model": str(model) if model else None}, _quiet)["values"]
        return values

    measured = {"image-facts": ask("image-facts"), "clip": ask("clip", clip), "answer-loss": ask("answer-loss")}
    write_measured(assets, measured, out)
    vectors = np.load(out / "clip_embeddings.npy")
    assert vectors.shape == (len(rows), 2 * 16)
    assert vectors.dtype == np.float16
    with (out / "signals.csv").open() as ours, (layout.pool(assets) / "signals" / "signals.csv").open() as made:
        for row, line, other in zip(rows, csv.DictReader(ours), csv.DictReader(made), strict=True):
            same = ("row", "source", "turns", "prompt_chars", "answer_chars", "image_hash", "image_width")
            assert [line[name] for name in same] == [other[name] for name in same]
            assert (line["similarity"] == "") == (row.image is None)
            assert float(line["answer_loss"]) == pytest.approx(float(other["answer_loss"]), rel=1e-3, abs=1e-4)
            halves = np.split(vectors[int(line["row"])].astype(float), 2)
            assert np.linalg.norm(halves[0]) == pytest.approx(0.0 if row.image is None else 1.0, abs=0.01)
    assert "clip_embeddings.npy" in (out / "README.md").read_text()
    with pytest.raises(AssetsInvalid, match="no CLIP model"):
        ask("clip", tmp_path)


def _tiny_clip(folder: Path, tokenizer: Any) -> None:
    torch.manual_seed(0)
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 24, "eos_token_id": tokenizer.eos_token_id}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
    model, processor = checkpoint.load(layout.base_model(assets))
    with pytest.raises(AssetsInvalid, match=r"x\.png"):
        load_pixels(processor, model.config, [broken])


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match="no model here"):
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
