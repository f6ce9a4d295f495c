"""The evaluation worker: scores models zero-shot on the evaluation sets."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation_plugins.api import Progress
from curation_plugins.errors import AssetsInvalid
from curation_plugins.jobs import Split
from curation_plugins.tasks import hardware
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluation import results_file
from curation_plugins.tasks.datacomp.evaluation.files import SetFiles, open_set, require
from curation_plugins.tasks.datacomp.evaluation.halves import half
from curation_plugins.tasks.datacomp.evaluation.pixels import PixelStore, Preprocess
from curation_plugins.tasks.datacomp.evaluation.score import Scorer, SetResult
from curation_plugins.tasks.datacomp.evaluation.sets import averages, look_up, mean_name
from curation_plugins.tasks.datacomp.evaluation.settings import Evaluation
from curation_plugins.tasks.datacomp.models import Opened, open_model
from curation_plugins.tasks.datacomp.recipe import Recipe, read_recipe


class Evaluator:
    """Worker class of the role ``evaluate``.

    A set is gone through once a model, for both halves: the jobs for the two come one after the other, and the second
    finds the first one's results. Asked for a half a second time, it goes through all again: whoever asks wants to
    know whether the same comes out.
    """

    def __init__(self) -> None:
        self._model: str | None = None
        self._results: dict[str, SetResult] = {}
        self._served: set[Split] = set()
        self._files: dict[tuple[Path, str], SetFiles] = {}
        self._store: PixelStore | None = None

    def evaluate(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Scores a model on a half (see ``curation_plugins.jobs.EvaluateJob``). With the sealed one goes
        ``eval_results.jsonl``, beside the items.

        Raises:
            AssetsInvalid: a set is missing or damaged: it is named, and nothing is scored in its stead.
        """
        settings, recipe = Evaluation.model_validate(job["evaluation"]), read_recipe(job["recipe"])
        assets, split, out = Path(job["assets"]), job["split"], Path(job["out"])
        model = Path(job["model"]) if job["model"] else None
        keys = [key for key in settings.benchmarks if split == "sealed" or key not in settings.sealed_sets]
        also = list(settings.extra) if split == "sealed" else []
        began = time.monotonic()
        self._begin(f"{_digest(model)} {assets} {recipe.model_dump_json()} {settings.batch}", split)
        results = self._scored(model, [*keys, *also], settings, recipe, assets, progress)
        said = Path(job["predictions"]) if job.get("predictions") else None
        written = _write(out, said, {key: results[key] for key in keys}, split, settings)
        if split == "sealed":
            results_file.write(out.parent / results_file.NAME, {key: results[key].reported for key in [*keys, *also]})
        return {
            "items": written,
            "notes": _notes(results, split, time.monotonic() - began),
            "about": {
                "mean": mean_name(keys),
                **hardware.about(hardware.device(), recipe.name, "fp32", ("open_clip_torch", "torchvision")),
            },
            "files": [results_file.NAME] if split == "sealed" else [],
        }

    def _begin(self, model: str, split: Split) -> None:
        """Forget the results of another model, and those whose half was handed out before."""
        if model != self._model or split in self._served:
            self._model, self._results, self._served = model, {}, set()
        self._served.add(split)

    def _scored(
        self,
        model: Path | None,
        keys: Sequence[str],
        settings: Evaluation,
        recipe: Recipe,
        assets: Path,
        progress: Progress,
    ) -> dict[str, SetResult]:
        """Results of these sets: those that are there, and those of a pass through the others."""
        lacking = [key for key in keys if key not in self._results]
        if lacking:
            require(layout.evaluation(assets), lacking)
            progress("loading the model", 0.0)
            self._go_through(lacking, open_model(model, recipe, assets), settings, assets, progress)
            hardware.release()
        return {key: self._results[key] for key in keys}

    def _go_through(
        self, keys: Sequence[str], opened: Opened, settings: Evaluation, assets: Path, progress: Progress
    ) -> None:
        scorer = Scorer(opened, Preprocess(opened.preprocess), self._pixels(settings), settings.batch)
        for number, key in enumerate(keys):

            def tell(done: float, number: int = number, name: str = look_up(key).name) -> None:
                progress(f"scoring {name}", (number + done) / len(keys))

            tell(0.0)
            self._results[key] = scorer.score(self._set(assets, key), tell)

    def _pixels(self, settings: Evaluation) -> PixelStore:
        wanted = (settings.decoded, settings.decoded_bytes, settings.threads)
        if self._store is None or (self._store.folder, self._store.budget, self._store.threads) != wanted:
            self._store = PixelStore(*wanted)
        return self._store

    def _set(self, assets: Path, key: str) -> SetFiles:
        """The set's files; looked through once in a worker's life."""
        if (assets, key) not in self._files:
            self._files[assets, key] = open_set(layout.evaluation(assets), look_up(key))
        return self._files[assets, key]


def _digest(model: Path | None) -> str:
    """Names a trained model by its contents: its folder may be used again for another one."""
    if model is None:
        return "untrained"
    total = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file()) if model.is_dir() else [model]:
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _write(out: Path, said: Path | None, results: Mapping[str, SetResult], split: Split, settings: Evaluation) -> int:
    """Write a half's items, and what the model said to them; how many there are.

    Raises:
        AssetsInvalid: a set has no item of this half; nothing was written.
    """
    chosen = {
        key: [
            (item, answer)
            for item, answer in zip(result.items, result.said, strict=True)
            if half(item.group, settings, key) == split
        ]
        for key, result in results.items()
    }
    for key, pairs in chosen.items():
        if not pairs:
            raise AssetsInvalid(
                f"{key} has no {split} item: its {len(results[key].items)} items are too few for two halves",
                hint="Leave the set out, or make it a sealed one: --set evaluation.sealed_sets=[…].",
            )
    if said is not None:
        with said.open("w", encoding="utf-8") as file:
            for item, answer in itertools.chain.from_iterable(chosen.values()):
                told = {"benchmark": item.benchmark, "item": item.item, "answer": answer}
                file.write(json.dumps(told, separators=(",", ":")) + "\n")
    with out.open("w", encoding="utf-8") as file:
        for pairs in chosen.values():
            file.writelines(item.model_dump_json(exclude_defaults=True) + "\n" for item, _ in pairs)
    return sum(map(len, chosen.values()))


def _notes(results: Mapping[str, SetResult], split: Split, seconds: float) -> dict[str, float]:
    notes = {
        "seconds": seconds,
        "broken_images": sum(result.broken for result in results.values()),
        "not_finite": sum(result.not_finite for result in results.values()),
    }
    if split == "sealed":  # over all items: nothing of it may stand with the public half
        scores = {
            key: main
            for key, result in results.items()
            if (metric := look_up(key).metric) is not None and (main := result.reported[metric]) is not None
        }
        notes |= {f"DataComp {title}": value for title, value in averages(scores).items()}
    return notes
