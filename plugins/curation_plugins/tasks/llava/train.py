"""The training worker: one warm process trains a run's submissions one after the other."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from curation_plugins.errors import AssetsInvalid
from curation_plugins.selection import read_canonical
from curation_plugins.tasks import hardware
from curation_plugins.tasks.card_processes import describe
from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.encode import Encoded, Encoder
from curation_plugins.tasks.llava.fit import Fitted, fit
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.rows import RowFile
from curation_plugins.tasks.llava.train_cards import train_on_cards
from curation_plugins.tasks.llava.vision import FeatureStore, Opener, image_size

Progress = Callable[[str, float], None]

KEPT_BYTES = 2**30
"""A base model of no more than this is kept and copied for each job; a larger one is read from disk each time."""


PACKAGES = ("transformers", "peft", "bitsandbytes", "liger-kernel", "flash-attn")
"""Whose versions a result can depend on."""

KEPT_ROWS = 100_000
"""Encodings that stay loaded: those of a few selections, not of a whole pool."""


class PoolState:
    """What stays loaded between jobs: processor, rows, their encodings, and of a small model weights and tower
    features."""

    def __init__(self, assets: Path, recipe: Recipe, device: torch.device | None = None) -> None:
        """
        Raises:
            AssetsInvalid: the base model is of another family than the recipe.
        """
        set_determinism(recipe.threads, 0, deterministic=recipe.deterministic)
        self.assets = assets
        self.recipe = recipe
        self.device = device or hardware.device()
        self.config, self.family = checkpoint.configuration(layout.base_model(assets))
        if self.family.name != recipe.family:
            raise AssetsInvalid(
                f"the base model is of the family {self.family.name}, and the recipe {recipe.name} is for"
                f" {recipe.family}",
                hint="Name a recipe of the model's family: `recipe: {extends: …}`, docs/recipes.md.",
            )
        self.processor = self.family.open(layout.base_model(assets))
        self.pad_id = int(self.processor.tokenizer.pad_token_id)
        self._encoder = Encoder(self.processor, self.config, recipe.max_tokens, supervise_end=recipe.supervise_end)
        self._blank = self.family.blank(self.processor, self.config).size if recipe.text_rows == "blank" else None
        self._rows = RowFile(layout.rows_file(assets))
        self._encoded: dict[int, Encoded] = {}

    @cached_property
    def model(self) -> Any:
        """The base model in evaluation mode, as the recipe's precision has frozen weights; for reading only."""
        half = self.recipe.precision == "bf16" or (self.recipe.precision == "mixed" and self.device.type == "cuda")
        return self._load("bfloat16" if half else "float32")

    def fresh(self) -> Any:
        """The base model in fp32 (bf16 where the recipe says so), to be trained."""
        dtype = "bfloat16" if self.recipe.precision == "bf16" else "float32"
        if self._small and self.model.dtype == getattr(torch, dtype):
            return copy.deepcopy(self.model)
        return self._load(dtype)

    @cached_property
    def _small(self) -> bool:
        return 4 * checkpoint.parameters(layout.base_model(self.assets)) <= KEPT_BYTES

    def _load(self, dtype: str) -> Any:
        return checkpoint.load(layout.base_model(self.assets), dtype, self.device, self.recipe.attention)[0]

    @cached_property
    def features(self) -> FeatureStore | Opener:
        """The pool's images: tower features made once where they are few and the tower stays, else opened when they
        are wanted."""
        folder, ready = layout.pool(self.assets), not self.recipe.train_tower and self.recipe.cards == 1
        if ready and self.recipe.text_rows == "plain" and FeatureStore.fits(self.config, len(self._rows)):
            images = [row.image for row in self._rows if row.image is not None]
            made = FeatureStore.compute(self.model, self.processor, folder, images)
            if not self._small:
                del self.model  # a large one must not stay on the card
            return made
        return Opener(self.processor, self.config, folder, self.recipe.image_workers)

    def encoded(self, rows: tuple[int, ...]) -> list[Encoded]:
        """Encodings of pool rows, made at most once each.

        Raises:
            AssetsInvalid: a row's image is missing or none.
        """
        if len(self._encoded) > KEPT_ROWS:  # a pass over a whole pool, shard after shard
            self._encoded.clear()
        missing = [row for row in dict.fromkeys(rows) if row not in self._encoded]
        found = [self._rows[row] for row in missing]
        folder = layout.pool(self.assets)
        sizes = [None if row.image is None else image_size(folder / row.image) for row in found]
        self._encoded.update(zip(missing, self._encoder.rows(found, sizes, self._blank), strict=True))
        return [self._encoded[row] for row in rows]


class PoolCache:
    """The state for the assets and recipe last used; another pair replaces it."""

    def __init__(self) -> None:
        self._key: tuple[Path, Recipe] | None = None
        self._state: PoolState | None = None

    def get(self, assets: Path, recipe: Recipe) -> PoolState:
        if self._state is None or self._key != (assets, recipe):
            self._state = PoolState(assets, recipe)
            self._key = (assets, recipe)
        return self._state


class Trainer:
    """Worker class of the role `train`."""

    def __init__(self) -> None:
        self._cache = PoolCache()

    def train(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Trains the base model on a selection (see `curation_plugins.jobs.TrainJob`)."""
        recipe = read_recipe(job["recipe"])
        progress("loading the pool", 0.0)
        state = self._cache.get(Path(job["assets"]), recipe)
        selection = read_canonical(Path(job["selection"]))
        rows, weights = state.encoded(tuple(selection.rows)), tuple(selection.weights)
        progress("opening every image", 0.0)
        state.features.check(row.image for row in rows if row.image is not None)
        progress("loading the base model", 0.0)
        hardware.start_measuring()
        out = Path(job["out"]) / "model"
        if recipe.cards > 1:
            fitted = train_on_cards(state.assets, rows, weights, recipe, int(job["seed"]), out, progress)
        else:
            fitted = self._train_here(state, rows, weights, int(job["seed"]), out, progress)
        return {
            "model": out.name,
            "steps": fitted.steps,
            "samples": fitted.samples,
            "loss": fitted.loss,
            "notes": {
                "fully_masked_rows": fitted.fully_masked_rows,
                "truncated_rows": fitted.truncated_rows,
                "supervised_tokens": fitted.supervised_tokens,
                **_counts(recipe),
            },
            "about": hardware.about(state.device, recipe.name, recipe.precision, PACKAGES),
        }

    def _train_here(
        self,
        state: PoolState,
        rows: list[Encoded],
        weights: tuple[float, ...],
        seed: int,
        out: Path,
        progress: Progress,
    ) -> Fitted:
        model = state.fresh()
        try:
            fitted = fit(model, rows, weights, state.features, state.recipe, seed, state.pad_id, describe(progress))
            checkpoint.save(out, model.to(getattr(torch, state.recipe.saved)), state.processor)
            return fitted
        finally:
            # the evaluation, another process, needs the card next
            del model
            gc.collect()
            hardware.release()


def _counts(recipe: Recipe) -> dict[str, float]:
    """Numbers for the record."""
    return {
        "threads": recipe.threads,
        "image_workers": recipe.image_workers,
        "cards": recipe.cards,
        "micro_batch": recipe.rows_a_pass,
        **(hardware.peak_memory() if recipe.cards == 1 else {}),
    }
