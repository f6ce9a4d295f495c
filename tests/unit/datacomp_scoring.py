"""Scoring made evaluation sets with the real worker: what several test files need."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

import datacomp_sets as made
from curation_harness.record.scores import read_items
from curation_plugins.jobs import ItemResult
from curation_plugins.tasks.datacomp import layout, models
from curation_plugins.tasks.datacomp.evaluate import Evaluator
from curation_plugins.tasks.datacomp.evaluation.pixels import PixelStore, Preprocess
from curation_plugins.tasks.datacomp.evaluation.score import Scorer
from curation_plugins.tasks.datacomp.evaluation.sets import EvaluationSet
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from curation_plugins.tasks.datacomp.recipe import read_recipe

CIFAR, PETS, FMOW = "cifar10", "vtab/pets", "wilds/fmow"
FLICKR, WINO, FACES = "retrieval/flickr_1k_test_image_text_retrieval", "misc/winogavil", "fairness/fairface"
KINDS = (CIFAR, PETS, FMOW, FLICKR, WINO)


def quiet(what: str, done: float) -> None:
    pass


def one_of_each(folder: Path) -> Path:
    """Assets with a model of a few weights and one set of each kind, 36 items each."""
    made.write_model(folder)
    for key in KINDS:
        entry = made.set_of(key)
        made.write_set(layout.evaluation(folder), entry, made.samples_of(entry, 36))
    return folder


def trained(assets: Path, folder: Path, seed: int) -> Path:
    """Saved as the trainer saves it; its weights are those of another seed."""
    recipe = read_recipe(made.RECIPE)
    models.save(folder, models.fresh(recipe, assets, seed, torch.device("cpu")), recipe, assets)
    return folder


def settings_of(*benchmarks: str, **values: Any) -> dict[str, Any]:
    return Evaluation(**values).of(benchmarks or KINDS).model_dump(mode="json")


def run(
    evaluator: Evaluator,
    assets: Path,
    out: Path,
    split: str,
    evaluation: dict[str, Any],
    model: Path | None = None,
    *,
    predictions: bool = False,
) -> tuple[dict[str, Any], list[ItemResult]]:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"items-{split}.jsonl"
    job = {
        "model": str(model) if model else None,
        "assets": str(assets),
        "split": split,
        "recipe": made.RECIPE,
        "evaluation": evaluation,
        "out": str(path),
        "predictions": str(out / f"predictions-{split}.jsonl") if predictions else None,
    }
    answer = evaluator.evaluate(job, quiet)
    wanted = [k for k in evaluation["benchmarks"] if split == "sealed" or k not in evaluation["sealed_sets"]]
    return answer, read_items(path, wanted)


def entry_and_folder(tmp_path: Path, key: str = CIFAR, count: int = 12) -> tuple[EvaluationSet, Path]:
    entry = made.set_of(key)
    return entry, made.write_set(tmp_path, entry, made.samples_of(entry, count))


def add(folder: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(folder / "test" / "1.tar", "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@cache
def untrained(assets: Path) -> models.Opened:
    return models.open_model(None, read_recipe(made.RECIPE), assets)


def scorer(assets: Path, folder: Path, batch: int = 16) -> Scorer:
    opened = untrained(assets)
    return Scorer(opened, Preprocess(opened.preprocess), PixelStore(folder / "decoded", 2**30), batch)
