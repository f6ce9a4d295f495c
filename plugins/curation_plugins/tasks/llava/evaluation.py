"""`evaluation` of a task.yaml of this family: what generates the answers, and who grades them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from curation_plugins.config import Frozen
from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava.benchmarks.judge import JudgeConfig


class Evaluation(Frozen):
    """How models are scored. The prompts' wording and the answers' limits are the items' (`assets`)."""

    backend: Literal["transformers", "vllm"] = "transformers"
    """The engine that answers: `transformers`, or `vllm` (docs/vlm-benchmarks.md says how to install it)."""
    interpreter: Path | None = None
    """The Python that has vLLM, where it is not the harness's own."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of weights and sums while answering."""
    context: int = Field(default=4096, gt=0)
    """Longest prompt and answer together, tokens, image tokens included. An item that does not fit is not asked, and
    its answer is empty."""
    deterministic: bool = True
    """Fix what the engine lets one fix: no order of requests and no company in a batch should change an answer."""
    asked_twice: int = Field(default=64, ge=0)
    """So many items of a half are asked again, in other batches; how many get another answer is in the record."""
    memory_share: float = Field(default=0.9, gt=0, le=1)
    """Share of the accelerator's memory that vLLM takes while it answers."""
    cpu_cache: int = Field(default=1, gt=0)
    """GiB that vLLM takes for its key-value cache on a machine without an accelerator."""
    together: int = Field(default=256, gt=0)
    """Requests that vLLM works on at once."""
    judge: JudgeConfig | None = None
    """Who grades MMVet and LLaVABench and reads results for MathVista; without one a task with either of the first
    two cannot be launched, and MathVista is read by rule."""

    def identity(self) -> dict[str, Any]:
        """What decides over scores; the rest decides over time and memory."""
        chosen = self.model_dump(include={"backend", "dtype", "context", "deterministic"}, mode="json")
        return {**chosen, "judge": self.judge.identity() if self.judge else None}

    def require_ready(self, graded: Sequence[str]) -> None:
        """Looks whether the judge and its key, and a Python with the engine, are there; asks no judge.

        Args:
            graded: those of the task's benchmarks that have no score without a judge.

        Raises:
            ConfigInvalid: something is missing.
        """
        if self.judge is None and graded:
            raise ConfigInvalid(
                f"{' and '.join(graded)} are graded by a judge, and evaluation.judge names none",
                hint="--set evaluation.judge.model=NAME --set evaluation.judge.base_url=http://HOST:PORT/v1, or leave"
                " these benchmarks out: --set benchmarks=[…].",
            )
        if self.judge is not None:
            self.judge.key()
        if self.interpreter is not None and not os.access(self.interpreter, os.X_OK):
            raise ConfigInvalid(
                f"evaluation.interpreter: {self.interpreter} is no program that can be run",
                hint=_MAKE_ONE,
            )
        python = str(self.interpreter or sys.executable)
        # found out now: the engine starts only after a training, and a worker without it would fail every attempt
        if self.backend == "vllm" and not _has_vllm(python):
            raise ConfigInvalid(f"evaluation.backend is vllm, and {python} has none", hint=_MAKE_ONE)


_MAKE_ONE: Final = (
    "docs/vlm-benchmarks.md says how to make a Python that has vLLM; name it with"
    " --set evaluation.interpreter=PATH/bin/python. Without vLLM: --set evaluation.backend=transformers (slow)."
)


@cache
def _has_vllm(python: str) -> bool:
    """Whether this interpreter finds vLLM; nothing of it is imported."""
    looks = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    return subprocess.run([python, "-c", looks], check=False, capture_output=True, timeout=60).returncode == 0
