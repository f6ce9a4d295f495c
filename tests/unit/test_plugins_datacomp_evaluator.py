"""The evaluation worker: halves, passes, progress, and the file that DataComp's own scripts read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import datacomp_sets as made
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluate import Evaluator
from curation_plugins.tasks.datacomp.evaluation import files, score, sets
from curation_plugins.tasks.datacomp.evaluation.halves import half
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from datacomp_scoring import (
    CIFAR,
    FACES,
    FLICKR,
    KINDS,
    PETS,
    WINO,
    one_of_each,
    run,
    scorer,
    settings_of,
    trained,
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    made.without_counts(monkeypatch)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_of_each(tmp_path_factory.mktemp("assets"))


@dataclass(frozen=True)
class _Model:
    """In the place of open_clip's."""

    encode_image: Callable[[torch.Tensor], torch.Tensor]
    encode_text: Callable[[torch.Tensor], torch.Tensor]


# --- the worker ---


def test_both_halves_together_are_every_item_once_and_a_set_is_gone_through_once(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, original = list[str](), score.Scorer.score

    def counting(self: score.Scorer, found: files.SetFiles, tell: Any) -> score.SetResult:
        passes.append(found.entry.key)
        return original(self, found, tell)

    monkeypatch.setattr(score.Scorer, "score", counting)
    evaluator = Evaluator()
    _, public = run(evaluator, assets, tmp_path, "public", settings_of())
    answer, sealed = run(evaluator, assets, tmp_path, "sealed", settings_of())
    assert sorted(passes) == sorted(KINDS)
    names = [(item.benchmark, item.item) for item in [*public, *sealed]]
    assert len(names) == len(set(names)) == 4 * 36 + 18  # of the 36 instances half have 10 or 12 candidates
    assert not {item.group for item in public} & {item.group for item in sealed}
    assert 0.35 < len(public) / len(names) < 0.65
    assert answer["items"] == len(sealed)
    run(evaluator, assets, tmp_path, "sealed", settings_of())
    assert len(passes) == 2 * len(KINDS), "a half that is asked for again is measured again"


def test_halves_follow_from_the_picture_alone(assets: Path, tmp_path: Path) -> None:
    """Neither the seed, the model, the order, nor which other items there are moves an item."""
    _, public = run(Evaluator(), assets, tmp_path / "1", "public", settings_of(CIFAR))
    shuffled = made.samples_of(made.set_of(CIFAR), 36)[::-1][:30]
    assets2 = tmp_path / "assets"
    made.write_model(assets2)
    made.write_set(layout.evaluation(assets2), made.set_of(CIFAR), shuffled, shards=3)
    model = trained(assets2, tmp_path / "model", 5)
    _, again = run(Evaluator(), assets2, tmp_path / "2", "public", settings_of(CIFAR), model)
    left = {sample["__key__"] for sample in shuffled}
    assert {item.item.split("/")[1] for item in again} == {item.item.split("/")[1] for item in public} & left


def test_the_same_picture_is_in_one_half_of_all_sets(assets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    made.write_model(folder)
    same = made.samples_of(made.set_of(CIFAR), 40)
    for key in (CIFAR, PETS):
        made.write_set(layout.evaluation(folder), made.set_of(key), [*same, {**same[0], "__key__": "twin"}])
    _, public = run(Evaluator(), folder, tmp_path, "public", settings_of(CIFAR, PETS))
    by_set = [{item.group for item in public if item.benchmark == key} for key in (CIFAR, PETS)]
    assert by_set[0] == by_set[1]
    assert sum(item.group == public[0].group for item in public) >= 2


def test_pictures_of_one_burst_are_in_one_half(assets: Path, tmp_path: Path) -> None:
    entry = made.set_of("wilds/iwildcam")
    samples = made.samples_of(entry, 40)
    for place, sample in enumerate(samples):
        sample["npy"] = np.array([0, place // 4, -1, -1, -1, -1, -1, -1, np.nan])  # a date that is not known
    made.write_set(tmp_path, entry, samples)
    found = scorer(assets, tmp_path).score(files.open_set(tmp_path, entry))
    assert [item.group for item in found.items] == [f"wilds/iwildcam sequence {place // 4}" for place in range(40)]


def test_sealed_sets_are_heard_of_by_nobody(assets: Path, tmp_path: Path) -> None:
    evaluation = settings_of(CIFAR, PETS, sealed_sets=(PETS,))
    evaluator = Evaluator()
    answer, public = run(evaluator, assets, tmp_path, "public", evaluation)
    assert {item.benchmark for item in public} == {CIFAR}
    assert not any("DataComp" in note for note in answer["notes"])
    assert not (tmp_path / "eval_results.jsonl").exists()
    told, sealed = run(evaluator, assets, tmp_path, "sealed", evaluation)
    assert sum(item.benchmark == PETS for item in sealed) == 36
    assert answer["about"]["mean"] == "mean over 1 of DataComp's 38 (partial)"
    assert told["about"]["mean"] == "mean over 2 of DataComp's 38 (partial)"


def test_another_model_in_the_same_folder_is_scored_anew(assets: Path, tmp_path: Path) -> None:
    evaluator, model = Evaluator(), tmp_path / "model"
    values = list[list[float | None]]()
    for seed in (1, 2, 1):
        trained(assets, model, seed)
        _, items = run(evaluator, assets, tmp_path, "public", settings_of(CIFAR, FLICKR), model)
        values.append([item.score for item in items] + [float(item.prediction == "red") for item in items])
        for path in sorted(model.iterdir()):
            path.unlink()
        model.rmdir()
    assert values[0] == values[2]
    assert values[0] != values[1]


def test_batches_and_threads_change_no_prediction(assets: Path, tmp_path: Path) -> None:
    lines = set[bytes]()
    for number, (batch, threads) in enumerate([(64, 1), (5, 3)]):
        run(Evaluator(), assets, tmp_path / str(number), "public", settings_of(batch=batch, threads=threads))
        lines.add((tmp_path / str(number) / "items-public.jsonl").read_bytes())
    assert len(lines) == 1


def test_the_untrained_model_is_always_the_same_and_knows_nothing(assets: Path, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    made.write_model(folder)
    entry = made.set_of(CIFAR)
    made.write_set(layout.evaluation(folder), entry, made.samples_of(entry, 300))
    torch.manual_seed(99)
    _, one = run(Evaluator(), folder, tmp_path / "1", "public", settings_of(CIFAR))
    _, two = run(Evaluator(), folder, tmp_path / "2", "public", settings_of(CIFAR))
    assert one == two
    assert np.mean([item.score for item in one]) == pytest.approx(1 / 6, abs=0.17)


def test_what_a_model_says_nothing_about_is_counted_in_every_kind_of_set(assets: Path, tmp_path: Path) -> None:
    faces = made.set_of(FACES)
    folder = made.write_set(tmp_path, faces, made.samples_of(faces, 20), shards=1, **made.face_lines())
    silent = scorer(assets, tmp_path)
    texts = silent.opened.model.encode_text

    def nothing(tokens: torch.Tensor) -> torch.Tensor:
        return texts(tokens) * torch.nan

    silent = replace(silent, opened=replace(silent.opened, model=_Model(silent.opened.model.encode_image, nothing)))
    evaluation = layout.evaluation(assets)
    for key, place in ((CIFAR, evaluation), (FLICKR, evaluation), (WINO, evaluation), (FACES, folder.parent)):
        found = silent.score(files.open_set(place, made.set_of(key)))
        assert found.not_finite == (20 if key == FACES else 36), key
        told = [value for name, value in found.reported.items() if value is not None and "toxicity" not in name]
        assert set(told) == {0.0}, (key, found.reported)


def test_a_set_too_small_for_two_halves_is_named(assets: Path, tmp_path: Path) -> None:
    made.write_model(tmp_path)
    entry = made.set_of(CIFAR)
    made.write_set(layout.evaluation(tmp_path), entry, made.samples_of(entry, 1), shards=1)
    [item] = scorer(assets, tmp_path).score(files.open_set(layout.evaluation(tmp_path), entry)).items
    other = "sealed" if half(item.group, Evaluation(), CIFAR) == "public" else "public"
    with pytest.raises(AssetsInvalid, match=f"cifar10 has no {other} item"):
        run(Evaluator(), tmp_path, tmp_path, other, settings_of(CIFAR))
    assert not (tmp_path / f"items-{other}.jsonl").exists()


def test_a_missing_set_stops_before_the_first_image(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetsInvalid, match="vtab/svhn"):
        run(Evaluator(), assets, tmp_path, "public", settings_of(CIFAR, "vtab/svhn"))
    assert not (tmp_path / "items-public.jsonl").exists()


def test_progress_is_told_within_a_set_and_never_goes_back(assets: Path, tmp_path: Path) -> None:
    heard = list[tuple[str, float]]()
    job = {"model": None, "assets": str(assets), "split": "public", "recipe": made.RECIPE}
    job |= {"evaluation": settings_of(CIFAR, FLICKR, batch=6), "out": str(tmp_path / "o")}
    Evaluator().evaluate(job, lambda what, done: heard.append((what, done)))
    shares = [done for _, done in heard]
    assert shares == sorted(shares)
    assert len([what for what, _ in heard if what == "scoring Flickr"]) == 7
    assert shares[-1] == 1.0


# --- DataComp's own file ---


def aggregated(path: Path) -> dict[str, float]:
    """What DataComp's aggregation asks of the file, restated: one object a line, with `dataset` and, in `metrics`,
    `main_metric`; 38 of them not null; the average over these."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    scores = {line["dataset"]: line["metrics"]["main_metric"] for line in lines}
    assert len(scores) == len(lines)
    known = {name: value for name, value in scores.items() if value is not None}
    assert len(known) == 38, len(known)
    shifts = ("ImageNet Sketch", "ImageNet v2", "ImageNet-A", "ImageNet-O", "ImageNet-R", "ObjectNet")
    return {
        "ImageNet": known["ImageNet 1k"],
        "ImageNet dist. shifts": float(np.mean([known[name] for name in shifts])),
        "Retrieval": float(np.mean([known[name] for name in ("Flickr", "MSCOCO", "WinoGAViL")])),
        "Average": float(np.mean(list(known.values()))),
    }


@pytest.fixture(scope="module")
def all_forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assets with all of DataComp's sets, a few items each."""
    folder = tmp_path_factory.mktemp("forty")
    made.write_model(folder)
    for key in sets.evaluation_sets():
        entry = made.set_of(key)
        if not entry.datacomp:
            continue
        lines = made.face_lines() if entry.kind == "attributes" else {}
        made.write_set(layout.evaluation(folder), entry, made.samples_of(entry, 24), shards=1, **lines)
    return folder


def test_all_of_datacomps_sets_give_its_results_file(all_forty: Path, tmp_path: Path) -> None:
    evaluation = settings_of(*sets.default_benchmarks(), extra=(FACES, "fairness/utkface"))
    evaluator = Evaluator()
    run(evaluator, all_forty, tmp_path, "public", evaluation)
    answer, _ = run(evaluator, all_forty, tmp_path, "sealed", evaluation)
    path = tmp_path / "eval_results.jsonl"
    assert answer["files"] == [path.name]
    found = aggregated(path)
    assert answer["about"]["mean"] == "mean over DataComp's 38"
    for title, value in found.items():
        assert answer["notes"][f"DataComp {title}"] == pytest.approx(value)
    lines = {line["key"]: line for line in map(json.loads, path.read_text().splitlines())}
    assert len(lines) == 40
    assert lines[FACES]["metrics"]["main_metric"] is None
    assert "acc_gender_avg" in lines[FACES]["metrics"]
    assert lines["vtab/kitti_closest_vehicle_distance"]["metrics"]["acc1"] is not None


def test_a_file_of_fewer_sets_is_refused_by_datacomps_aggregation(assets: Path, tmp_path: Path) -> None:
    answer, _ = run(Evaluator(), assets, tmp_path, "sealed", settings_of())
    with pytest.raises(AssertionError, match="5"):
        aggregated(tmp_path / "eval_results.jsonl")
    assert answer["about"]["mean"] == "mean over 5 of DataComp's 38 (partial)"
    assert not [note for note in answer["notes"] if note.startswith("DataComp Average")]
