"""The training worker: each job trains one model from scratch on the selected pairs."""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from curation_plugins.errors import AssetsInvalid
from curation_plugins.selection import read_canonical
from curation_plugins.tasks import card_processes, hardware
from curation_plugins.tasks.card_processes import Card, describe, train_on_cards
from curation_plugins.tasks.datacomp import models
from curation_plugins.tasks.datacomp.compact import compacted
from curation_plugins.tasks.datacomp.feed import Feed
from curation_plugins.tasks.datacomp.fit import Fitted, fit, over_cards
from curation_plugins.tasks.datacomp.order import Order
from curation_plugins.tasks.datacomp.pair_bytes import Files
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.recipe import Recipe, read_recipe
from curation_plugins.tasks.datacomp.states import States

Progress = Callable[[str, float], None]

MODEL: Final = "model"
"""Folder of the trained model, in the job's ``out``."""
PACKAGES: Final = ("open_clip_torch", "torchvision", "pillow", "transformers")
"""Whose versions a result can depend on."""


@dataclass(frozen=True)
class _Work:
    """What each process of a training is given."""

    assets: Path
    selection: Path
    recipe: Recipe
    seed: int
    out: Path
    kept: Path | None
    key: str
    compact: Files | None
    """The selected pairs in one file, if they were copied."""

    def plan(self) -> tuple[Files, Order]:
        """Where the selected pairs lie, and when each comes. Some 30 bytes a row beside the pool's memory map.

        Raises:
            AssetsInvalid: the selection is of another pool, or too small.
        """
        selection, pool, recipe = read_canonical(self.selection), PoolIndex(self.assets), self.recipe
        rows = np.frombuffer(selection.rows, np.int64)
        repeats = np.frombuffer(selection.weights, np.float64).astype(np.uint16)
        del selection  # its weights: memory
        if len(rows) and rows[-1] >= pool.rows:
            raise AssetsInvalid(
                f"the selection names row {rows[-1]}, and the pool has {pool.rows}",
                hint="It was made for another pool.",
            )
        if repeats.sum() < recipe.batch:
            raise AssetsInvalid(
                f"the selection has {repeats.sum()} pairs, repeats counted, fewer than one batch of {recipe.batch}",
                hint="`samples_min` of the task's submission rules must be at least the recipe's batch.",
            )
        along = pool.along_the_shards(rows) if recipe.shuffle_rows is not None else None
        order = Order(repeats, self.seed, recipe.shuffle_rows, recipe.shuffle_run, along)
        return self.compact or Files(tuple(pool.shards), pool.samples, rows), order


@dataclass(frozen=True)
class _Done:
    """What comes of it."""

    fitted: Fitted
    broken: frozenset[int]
    """Places of the selection whose image could not be decoded."""
    replaced: int
    """Pairs for which another one was taken."""


class Trainer:
    """Worker class of the role `train`."""

    def train(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Trains a model on a selection (see `curation_plugins.jobs.TrainJob`).

        Raises:
            AssetsInvalid: shards are gone or damaged, more than a hundredth of the selected images is broken, or the
                selection is one that should not have been accepted.
            TrainingDiverged: the loss is no number any more.
        """
        recipe, assets, out = read_recipe(job["recipe"]), Path(job["assets"]), Path(job["out"])
        progress("loading the pool", 0.0)
        kept = Path(job["kept"]) if job.get("kept") else None
        selection, seed = Path(job["selection"]), int(job["seed"])
        work = _Work(assets, selection, recipe, seed, out / MODEL, kept, _key(job, recipe), None)
        files, order = work.plan()
        counts = len(files), len(order)
        copied = out / "compact"
        if recipe.compact:
            work = replace(work, compact=compacted(files, copied, progress))
        del files, order  # each process makes its own
        hardware.start_measuring()
        try:
            if recipe.cards > 1:
                done = train_on_cards(_on_card, work, recipe.cards, progress)
            else:
                done = _on_card(Card(0, 1, hardware.device(), describe(progress)), work)
        finally:
            shutil.rmtree(copied, ignore_errors=True)
            gc.collect()
            hardware.release()  # the evaluation, another process, needs the card next
        return _result(recipe, done, *counts)


def _on_card(card: Card, work: _Work) -> _Done:
    """One process' training; the first one saves the model."""
    recipe = work.recipe
    hardware.set_determinism(recipe.threads, work.seed, deterministic=recipe.deterministic)
    model = models.fresh(recipe, work.assets, work.seed, card.device)
    height, width = model.visual.preprocess_cfg["size"]
    tokenizer = models.tokenizer(recipe, work.assets)
    files, order = work.plan()
    feed = Feed(files, order, tokenizer, (height, width), recipe, work.seed, card.rank)
    fitted = fit(model, feed, recipe, States(work.kept, work.key), card.report)
    broken, replaced = over_cards(feed)
    if card.rank == 0:
        models.save(work.out, model, recipe, work.assets)
    return _Done(fitted, broken, replaced)


def _key(job: Mapping[str, Any], recipe: Recipe) -> str:
    """Of everything that the states of a training depend on, SHA-256 in hex."""
    with Path(job["selection"]).open("rb") as file:
        selection = hashlib.file_digest(file, "sha256").hexdigest()
    told = {
        "recipe": recipe.applied(),
        "selection": selection,
        "seed": int(job["seed"]),
        "assets": Path(job["assets"]).name,
        "packages": {name: importlib.metadata.version(name) for name in ("torch", *PACKAGES)},
        "code": _code(),
        "cuda": torch.cuda.is_available(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> str:
    """Of the family's own code, SHA-256 in hex: a state that another version left is not gone on from."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [*sorted(here.glob("*.py")), *(Path(module.__file__ or "") for module in (hardware, card_processes))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _result(recipe: Recipe, done: _Done, pairs: int, pairs_a_pass: int) -> dict[str, Any]:
    fitted = done.fitted
    seen = fitted.steps * recipe.batch
    fresh_steps = fitted.steps - fitted.resumed_at
    return {
        "model": MODEL,
        "steps": fitted.steps,
        "samples": seen,
        "loss": fitted.loss,
        "notes": {
            "pairs": pairs,
            "pairs_a_pass": pairs_a_pass,
            "passes": round(seen / pairs_a_pass, 3),
            "broken_images": len(done.broken),
            "replaced_samples": done.replaced,
            "resumed_at": fitted.resumed_at,
            "threads": recipe.threads,
            "workers": recipe.workers,
            "cards": recipe.cards,
            "micro_batch": recipe.rows_a_pass,
            **(hardware.peak_memory() if recipe.cards == 1 else {}),
        },
        "timings": {
            "samples_a_second": round(fresh_steps * recipe.batch / max(fitted.seconds, 1e-9), 1),
            "waited_share": round(fitted.waited / max(fitted.seconds, 1e-9), 4),
        },
        "about": hardware.about(hardware.device(), recipe.name, recipe.precision, PACKAGES),
    }
