"""Answers by vLLM: one engine for a run, whose weights are exchanged between attempts.

Written against vLLM 0.32 (its offline class `LLM`). The engine starts with made-up weights and always takes real ones
over the same way, so that the first checkpoint is treated like the tenth.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava import checkpoint
from curation_plugins.tasks.llava.backends.asking import Asking
from curation_plugins.tasks.llava.backends.backend import Backend, Progress, PromptsDiffer, Request
from curation_plugins.tasks.llava.evaluation import Evaluation

_WORKER = "curation_plugins.tasks.llava.backends.vllm_worker.TakesWeights"
_INVARIANT_FROM = (9, 0)
"""Compute capability from which vLLM's batch-invariant kernels are documented (docs/features/batch_invariance.md)."""
_MOST_IMAGES = 8
"""Of one prompt; MMMU shows seven at most."""


class VllmBackend(Backend):
    """All requests of a half in one `generate`, each with its own limit."""

    name = "vllm"

    def __init__(self, settings: Evaluation, base: Path) -> None:
        """
        Args:
            base: checkpoint folder of the untrained model: configuration, processor and shapes are taken from it.

        Raises:
            ConfigInvalid: this Python has no vLLM.
        """
        self._settings = settings
        self._base = base
        self._asking = Asking(base, settings.context)
        self._invariant = settings.deterministic and _capability() >= _INVARIANT_FROM
        self._engine, self._sampling, self._version = self._start()
        self._can_sleep = torch.cuda.is_available()
        self._asleep = False

    def _start(self) -> tuple[Any, Any, str]:
        os.environ.update(
            VLLM_ENABLE_V1_MULTIPROCESSING="0",  # in this process: one to watch, one to end
            VLLM_NO_USAGE_STATS="1",
            VLLM_BATCH_INVARIANT=str(int(self._invariant)),
            VLLM_CPU_KVCACHE_SPACE=str(self._settings.cpu_cache),
        )
        try:
            import vllm  # type: ignore[import-not-found]  # only where chosen; reads its settings from the environment
        except ImportError as error:
            raise ConfigInvalid(
                f"evaluation.backend is vllm, and this Python has none ({error})",
                hint="Set evaluation.interpreter to a Python that has it, or evaluation.backend=transformers.",
            ) from None
        engine = vllm.LLM(
            str(self._base),
            load_format="dummy",
            worker_extension_cls=_WORKER,
            dtype=self._settings.dtype,
            seed=0,
            max_model_len=self._settings.context,
            max_num_seqs=self._settings.together,
            gpu_memory_utilization=self._settings.memory_share,
            limit_mm_per_prompt={"image": _MOST_IMAGES},
            enforce_eager=not torch.cuda.is_available(),
            enable_sleep_mode=torch.cuda.is_available(),
        )
        return engine, vllm.SamplingParams, str(vllm.__version__)

    def load(self, model: Path) -> None:
        checkpoint.require_same_shapes(self._base, model)
        if self._asleep:
            self._engine.wake_up(tags=["weights"])
        self._engine.collective_rpc("take_weights", args=(str(model),))
        if self._asleep:
            self._engine.wake_up(tags=["kv_cache"])
            self._asleep = False
        self._forget()

    def _forget(self) -> None:
        """Empties what was computed under other weights: attention prefixes, image features, prepared images."""
        if not self._engine.reset_prefix_cache():
            raise RuntimeError("vLLM did not empty its prefix cache")
        self._engine.reset_mm_cache()
        self._engine.llm_engine.reset_encoder_cache()

    def answer(self, requests: Sequence[Request], progress: Progress) -> list[str | None]:
        self._forget()
        ids = self._asking.ids(requests)
        fitting = [place for place, one in enumerate(requests) if self._asking.fits(ids[place], one)]
        asked = [requests[place] for place in fitting]
        progress("answering", 0.0)
        replies = self._engine.generate(
            [
                {"prompt": text, **_pictures(self._asking, one)}
                for text, one in zip(self._asking.texts(asked), asked, strict=True)
            ],
            [self._limits(one) for one in asked],
            use_tqdm=False,
        )
        answers: list[str | None] = [None] * len(requests)
        for place, reply in zip(fitting, replies, strict=True):
            if list(reply.prompt_token_ids) != ids[place].tolist():
                raise PromptsDiffer(
                    f"vLLM reads a prompt as {len(reply.prompt_token_ids)} tokens that are not the {len(ids[place])}"
                    f" of the model's training: {requests[place].text[:200]!r}",
                    hint="Its tokenizer or processor is another version's; see docs/vlm-benchmarks.md.",
                )
            answers[place] = reply.outputs[0].text.strip()
        progress("answering", 1.0)
        return answers

    def _limits(self, request: Request) -> Any:
        """Greedy, as long as the request says, up to the family's end token."""
        return self._sampling(
            temperature=0.0, max_tokens=request.max_tokens, stop_token_ids=[self._asking.end_id], seed=0
        )

    def rest(self) -> None:
        if self._can_sleep and not self._asleep:
            # the weights are not kept: the next job brings its own
            self._engine.sleep(level=2)
            self._asleep = True

    def about(self) -> dict[str, str]:
        return {
            "backend": self.name,
            "vllm": self._version,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "dtype": self._settings.dtype,
            "batch_invariant": str(self._invariant).lower(),
        }


def _capability() -> tuple[int, int]:
    return torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)


def _pictures(asking: Asking, request: Request) -> dict[str, Any]:
    if not request.images:
        return {}
    return {"multi_modal_data": {"image": [asking.picture(path) for path in request.images]}}
