"""Answers by transformers' own `generate`: on any machine that can train."""

from __future__ import annotations

import gc
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig

from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.backends.asking import Asking, Pixels
from curation_plugins.tasks.llava.backends.backend import Backend, Progress, Request
from curation_plugins.tasks.llava.evaluation import Evaluation
from curation_plugins.tasks.llava.generate import Prompt, greedy_answers


class TransformersBackend(Backend):
    """Batches of equal prompts, one model at a time, none between jobs."""

    name = "transformers"

    def __init__(self, settings: Evaluation, base: Path, *, threads: int, batch: int) -> None:
        """
        Args:
            base: checkpoint folder of the untrained model; its processor asks.
            batch: rows a forward pass.
        """
        set_determinism(threads, 0, deterministic=settings.deterministic)
        self._settings = settings
        self._batch = batch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._asking = Asking(base, settings.context)
        self._base = base
        self._model: Any = None

    def load(self, model: Path) -> None:
        checkpoint.require_same_shapes(self._base, model)
        self._model, _ = checkpoint.load(model, self._settings.dtype, self._device)
        self._model.generation_config = _plain(self._model.generation_config)

    def answer(self, requests: Sequence[Request], progress: Progress) -> list[str | None]:
        ids = self._asking.ids(requests)
        fitting = [place for place, one in enumerate(requests) if self._asking.fits(ids[place], one)]
        prompts = [
            Prompt(ids=ids[place], images=len(requests[place].images), max_tokens=requests[place].max_tokens)
            for place in fitting
        ]

        def pixels(chosen: Sequence[int]) -> Pixels:
            return self._asking.pixels([path for n in chosen for path in requests[fitting[n]].images])

        texts = greedy_answers(
            self._model,
            self._asking.processor.tokenizer,
            prompts,
            pixels,
            batch=self._batch,
            progress=lambda done: progress("answering", done),
        )
        answers: list[str | None] = [None] * len(requests)
        for place, text in zip(fitting, texts, strict=True):
            answers[place] = text
        return answers

    def rest(self) -> None:
        self._model = None
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def about(self) -> dict[str, str]:
        return {
            "backend": self.name,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name() if self._device == "cuda" else "cpu",
            "dtype": self._settings.dtype,
            "deterministic": str(self._settings.deterministic).lower(),
        }


def _plain(published: GenerationConfig) -> GenerationConfig:
    """Of a checkpoint's settings only the tokens that begin, end and fill: answers are greedy and nothing else.

    `generate` would also follow a penalty on repetition that comes with the base model (1.05 with Qwen2.5-VL's
    instruction-tuned models), which no other engine is asked for.
    """
    return GenerationConfig(
        bos_token_id=published.bos_token_id,
        eos_token_id=published.eos_token_id,
        pad_token_id=published.pad_token_id,
    )
