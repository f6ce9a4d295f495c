"""The training worker: one warm process trains a run's submissions one after the other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from curation_plugins.selection import read_canonical
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.encode import Encoded, Encoder
from curation_plugins.tasks.llava.fit import fit, set_determinism
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.rows import read_rows
from curation_plugins.tasks.llava.vision import FeatureStore, image_tokens

Progress = Callable[[str, float], None]


class PoolState:
    """What stays loaded between jobs: base model, processor, rows, their encodings, tower features."""

    def __init__(self, assets: Path, recipe: Recipe) -> None:
        set_determinism(recipe.threads, 0)
        self.assets = assets
        self.model, self.processor = checkpoint.load(layout.base_model(assets))
        self.pad_id = int(self.processor.tokenizer.pad_token_id)
        self._encoder = Encoder(self.processor, image_tokens(self.model), recipe.max_tokens)
        self._rows = list(read_rows(layout.rows_file(assets)))
        self._encoded: dict[int, Encoded] = {}
        images = [row.image for row in self._rows if row.image is not None]
        self.features = FeatureStore(self.model, self.processor, layout.pool(assets), images)

    def encoded(self, rows: tuple[int, ...]) -> list[Encoded]:
        """Encodings of pool rows, made at most once each."""
        missing = [row for row in rows if row not in self._encoded]
        for row, encoding in zip(missing, self._encoder.rows([self._rows[row] for row in missing]), strict=True):
            self._encoded[row] = encoding
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
        progress("loading the base model and the pool", 0.0)
        state = self._cache.get(Path(job["assets"]), recipe)
        selection = read_canonical(Path(job["selection"]))
        model = copy.deepcopy(state.model)

        def report(step: int, steps: int, loss: float) -> None:
            progress(f"step {step} of {steps}, loss {loss:.3f}", step / steps)

        fitted = fit(
            model,
            state.encoded(selection.rows),
            selection.weights,
            state.features,
            recipe,
            int(job["seed"]),
            state.pad_id,
            report,
        )
        checkpoint.save(Path(job["out"]) / "model", model, state.processor)
        return {
            "model": "model",
            "steps": fitted.steps,
            "samples": fitted.samples,
            "loss": fitted.loss,
            "notes": {
                "fully_masked_rows": fitted.fully_masked_rows,
                "supervised_tokens": fitted.supervised_tokens,
            },
        }
