"""The evaluation worker: answers every item of a half and scores the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.encode import Encoded, Encoder
from curation_plugins.tasks.llava.fit import set_determinism
from curation_plugins.tasks.llava.generate import greedy_answers
from curation_plugins.tasks.llava.items import Item, Split, read_items
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.scoring import SCORERS
from curation_plugins.tasks.llava.vision import image_tokens, load_pixels

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class _Half:
    """A half's items, ready to be asked."""

    items: list[Item]
    prompts: list[Encoded]
    pixels: torch.Tensor


class Evaluator:
    """Worker class of the role `evaluate`; items, prompts and images are loaded once a half."""

    def __init__(self) -> None:
        self._halves: dict[tuple[Path, Split, Recipe], _Half] = {}

    def evaluate(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Scores a model on a half (see `curation_plugins.jobs.EvaluateJob`)."""
        recipe = read_recipe(job["recipe"])
        assets = Path(job["assets"])
        set_determinism(recipe.threads, 0)
        progress("loading the model", 0.0)
        folder = Path(job["model"]) if job["model"] else layout.base_model(assets)
        model, processor = checkpoint.load(folder)
        half = self._half(assets, job["split"], model, processor, recipe)
        progress("answering", 0.3)
        answers = greedy_answers(
            model,
            processor.tokenizer,
            half.prompts,
            half.pixels,
            batch=recipe.eval_batch,
            max_new_tokens=recipe.max_new_tokens,
        )
        with Path(job["out"]).open("w", encoding="utf-8") as file:
            for item, answer in zip(half.items, answers, strict=True):
                file.write(json.dumps(_result(item, answer), ensure_ascii=False) + "\n")
        return {"items": len(half.items)}

    def _half(self, assets: Path, split: Split, model: Any, processor: Any, recipe: Recipe) -> _Half:
        key = (assets, split, recipe)
        if key not in self._halves:
            folder = layout.benchmarks(assets)
            items = read_items(folder, split)
            encoder = Encoder(processor, image_tokens(model), recipe.max_tokens)
            self._halves[key] = _Half(
                items=items,
                prompts=encoder.prompts([i.question for i in items], [i.image for i in items]),
                pixels=load_pixels(processor, [folder / item.image for item in items]),
            )
        return self._halves[key]


def _result(item: Item, answer: str) -> dict[str, Any]:
    return {
        "benchmark": item.benchmark,
        "item": item.item,
        "group": item.group,
        "score": SCORERS[item.benchmark](answer, item.answer),
        "prediction": answer,
    }
