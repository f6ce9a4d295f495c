"""The evaluation worker: answers every item of a half and scores the answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.backends.backend import Backend, Request, request_of
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem
from curation_plugins.tasks.llava.benchmarks.judge import Judge
from curation_plugins.tasks.llava.benchmarks.replies import Overheard, Replies
from curation_plugins.tasks.llava.evaluation import Evaluation
from curation_plugins.tasks.llava.items import Split, read_items
from curation_plugins.tasks.llava.recipe import Recipe, read_recipe
from curation_plugins.tasks.llava.results import predictions, results

Progress = Callable[[str, float], None]

_SAMPLE_SEED = 20260606


class Evaluator:
    """Worker class of the role `evaluate`: one engine for all its jobs."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._backend: Backend | None = None
        self._items: dict[tuple[Path, Split], list[BenchmarkItem]] = {}

    def evaluate(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Scores a model on a half (see `curation_plugins.jobs.EvaluateJob`).

        Raises:
            JudgeUnavailable: nothing was written; what the judge said until then is kept.
        """
        settings = Evaluation.model_validate(job["evaluation"])
        assets = Path(job["assets"])
        base = layout.base_model(assets)
        items = self._half(assets, job["split"])
        requests = [request_of(item, layout.benchmarks(assets)) for item in items]
        progress("loading the model", 0.0)
        backend = self._open(settings, read_recipe(job["recipe"]), base)
        try:
            backend.load(Path(job["model"]) if job["model"] else base)
            answers = backend.answer(requests, lambda what, done: progress(what, 0.1 + 0.7 * done))
            asked, flipped = _again(backend, requests, answers, settings.asked_twice)
        finally:
            backend.rest()
        progress("scoring", 0.8)
        texts = [answer or "" for answer in answers]
        lines, replies = _scored(items, texts, settings, assets, progress)
        if job.get("predictions"):
            _write(Path(job["predictions"]), predictions(items, texts, replies))
        _write(Path(job["out"]), lines)
        judge = {"judge": json.dumps(settings.judge.identity(), sort_keys=True)} if settings.judge else {}
        return {
            "items": len(lines),
            "notes": {"asked_twice": asked, "flipped": flipped, "too_long": answers.count(None)},
            "about": {**backend.about(), **judge},
        }

    def _open(self, settings: Evaluation, recipe: Recipe, base: Path) -> Backend:
        """The engine in use, or a new one where other settings are asked for."""
        key = (settings.model_dump_json(exclude={"judge", "asked_twice"}), recipe.threads, recipe.eval_batch, base)
        if self._backend is None or key != self._key:
            self._backend = None  # the old one's memory is wanted for the new one
            self._backend = open_backend(settings, recipe, base)
            self._key = key
        return self._backend

    def _half(self, assets: Path, split: Split) -> list[BenchmarkItem]:
        if (assets, split) not in self._items:
            self._items[assets, split] = read_items(layout.benchmarks(assets), split)
        return self._items[assets, split]


def open_backend(settings: Evaluation, recipe: Recipe, base: Path) -> Backend:
    """Starts the engine that the settings name. The other one's packages are not imported.

    Raises:
        ConfigInvalid: it is not installed here.
    """
    if settings.backend == "vllm":
        from curation_plugins.tasks.llava.backends.vllm_backend import VllmBackend

        return VllmBackend(settings, base)
    from curation_plugins.tasks.llava.backends.transformers_backend import TransformersBackend

    return TransformersBackend(settings, base, threads=recipe.threads, batch=recipe.eval_batch)


def _again(
    backend: Backend, requests: Sequence[Request], answers: Sequence[str | None], count: int
) -> tuple[int, int]:
    """How many were asked a second time, and how many of these were answered otherwise.

    Always the same ones, in one order of chance: they stand beside other requests, in batches of other sizes.
    """
    chosen = random.Random(_SAMPLE_SEED).sample(range(len(requests)), min(count, len(requests)))
    second = backend.answer([requests[place] for place in chosen], lambda what, done: None) if chosen else []
    return len(chosen), sum(answers[place] != other for place, other in zip(chosen, second, strict=True))


def _scored(
    items: Sequence[BenchmarkItem], answers: Sequence[str], settings: Evaluation, assets: Path, progress: Progress
) -> tuple[list[dict[str, Any]], Replies | None]:
    """The lines of the item file, and what the judge said, where there is one."""
    if settings.judge is None:
        return results(items, answers, None), None
    judge = Judge(
        settings.judge, layout.judge_replies(assets), progress=lambda what, done: progress(what, 0.8 + 0.2 * done)
    )
    heard = Overheard(judge)
    try:
        return results(items, answers, heard), heard.replies
    finally:
        judge.close()


def _write(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
