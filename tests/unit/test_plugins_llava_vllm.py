"""The vLLM backend on the small LLaVA: it answers as transformers does, and a reloaded engine as a new one.

Real vLLM, its CPU build, in a Python of its own: `make vllm` makes it; CURATION_VLLM_PYTHON names another one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from curation_plugins.engines.local import LocalEngine
from curation_plugins.jobs import EvaluateJob, EvaluateResult, TrainJob, TrainResult
from curation_plugins.selection import of_rows
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.task import LlavaTask
from llava_micro import micro_assets, micro_task

MADE = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
PYTHON = os.environ.get("CURATION_VLLM_PYTHON", str(MADE) if MADE.exists() else "")

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(
        not PYTHON, reason="there is no Python with vLLM: run `make vllm`, or name one in CURATION_VLLM_PYTHON"
    ),
]

VLLM = {"backend": "vllm", "interpreter": PYTHON, "context": 128, "together": 32}


def _quiet(what: str, done: float) -> None:
    pass


def _task(**evaluation: Any) -> LlavaTask:
    task = micro_task()
    return task.with_config(task.config.model_copy(update={"evaluation": evaluation}))


class Bench:
    """Two trained models and the base, scored by one backend or the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assets = micro_assets()
        self.base = layout.base_model(self.assets)
        with self.session(micro_task(), "train") as session:
            self.models = [self._train(session, seed) for seed in (1, 2)]

    def session(self, task: LlavaTask, name: str) -> Any:
        return LocalEngine().open(run_id=name, log=self.folder / f"{name}.log", config=task.config)

    def _train(self, session: Any, seed: int) -> Path:
        out = self.folder / f"model-{seed}"
        out.mkdir()
        rows = self.folder / "selection.jsonl"
        rows.write_bytes(of_rows(list(range(seed * 40, seed * 40 + 40))).canonical())
        task = micro_task()
        recipe = {**task.config.recipe, "steps": 60}
        job = TrainJob(selection=rows, assets=self.assets, recipe=recipe, seed=seed, out=out)
        return out / session.call(task.worker("train"), "train", job, TrainResult, _quiet).model

    def answers(self, session: Any, task: LlavaTask, model: Path) -> tuple[list[str], EvaluateResult]:
        out = self.folder / "items.jsonl"
        config = task.config
        job = EvaluateJob(
            model=model,
            assets=self.assets,
            split="public",
            recipe=config.recipe,
            evaluation=config.evaluation,
            out=out,
        )
        told = session.call(task.worker("evaluate"), "evaluate", job, EvaluateResult, _quiet)
        return [json.loads(line)["prediction"] for line in out.read_text().splitlines()], told


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("vllm"))


@pytest.fixture(scope="module")
def by_vllm(bench: Bench) -> dict[str, tuple[list[str], EvaluateResult]]:
    """One engine: base, first, second, and the first again."""
    task = _task(**VLLM)
    with bench.session(task, "one-engine") as session:
        order = {"base": bench.base, "first": bench.models[0], "second": bench.models[1], "again": bench.models[0]}
        return {name: bench.answers(session, task, model) for name, model in order.items()}


def test_a_reloaded_engine_answers_as_a_new_one(bench: Bench, by_vllm: dict[str, Any]) -> None:
    task = _task(**VLLM)
    with bench.session(task, "cold") as session:
        cold, _ = bench.answers(session, task, bench.models[1])
    assert cold == by_vllm["second"][0]
    assert by_vllm["again"][0] == by_vllm["first"][0]
    assert by_vllm["first"][0] != by_vllm["second"][0], "models that answer alike would prove nothing"


def test_both_backends_answer_alike(bench: Bench, by_vllm: dict[str, Any]) -> None:
    task = _task(context=128)
    with bench.session(task, "transformers") as session:
        for name, model in (("base", bench.base), ("first", bench.models[0]), ("second", bench.models[1])):
            answers, _ = bench.answers(session, task, model)
            assert answers == by_vllm[name][0], name


def test_the_engine_says_what_it_is_and_how_often_it_wavers(by_vllm: dict[str, Any]) -> None:
    told = by_vllm["first"][1]
    assert told.about["backend"] == "vllm"
    assert told.about["vllm"]
    assert told.notes == {"asked_twice": 64, "flipped": 0, "too_long": 0}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_the_card_is_free_while_the_engine_sleeps(bench: Bench) -> None:
    task = _task(**{**VLLM, "dtype": "bfloat16", "memory_share": 0.5})
    with bench.session(task, "asleep") as session:
        first, _ = bench.answers(session, task, bench.models[0])
        free, total = torch.cuda.mem_get_info()
        assert free > 0.8 * total
        again, _ = bench.answers(session, task, bench.models[0])
    assert again == first
