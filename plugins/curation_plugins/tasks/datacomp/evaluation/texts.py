"""Zero-shot classifiers: prompts, their tokens, and the mean of their embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn import functional

from curation_plugins.tasks.datacomp.evaluation.pixels import save

Prompts = tuple[tuple[str, ...], tuple[str, ...]]
"""Class names and templates."""


class Model(Protocol):
    """What ``models.open_model`` gives: a trained model ready for use."""

    @property
    def model(self) -> Any:
        """open_clip's, in evaluation mode, float32, on ``device``: ``encode_image``, ``encode_text``."""

    @property
    def tokenizer(self) -> Callable[[Sequence[str]], torch.Tensor]:
        """Texts to token ids of shape (texts, context)."""

    @property
    def device(self) -> torch.device: ...

    @property
    def text_key(self) -> str:
        """Names tokenizer and context: equal keys, equal tokens."""


def prompts(classes: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every template with every class name, class by class."""
    return [template.replace("{c}", name) for name in classes for template in templates]


def cue_prompt(cue: str) -> str:
    """The text that stands for a cue of WinoGAViL: with its article, in lower case (eval_utils/wino_eval.py)."""
    lower = cue.lower()
    return f"{'An' if lower[:1] in 'aeiou' else 'A'} {lower}"


@dataclass
class Texts:
    """Embeds texts with one model. Tokens are kept in ``folder``, by tokenizer, for every model that shares it;
    classifiers in memory, for every set that shares class names and templates."""

    opened: Model
    folder: Path
    batch: int
    _classifiers: dict[Prompts, torch.Tensor] = field(default_factory=dict, init=False)

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids, int64, shape (texts, context)."""
        total = hashlib.sha256(self.opened.text_key.encode())
        for text in texts:
            total.update(f"\0{len(text)} {text}".encode())
        path = self.folder / f"{total.hexdigest()[:32]}.tokens.npy"
        if not path.exists():
            save(path, self.opened.tokenizer(list(texts)).numpy().astype(np.int32))
        return torch.from_numpy(np.load(path).astype(np.int64))

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Normalised embeddings on the model's device, float32, shape (texts, width)."""
        tokens = self.tokens(texts)
        parts = [
            functional.normalize(self.opened.model.encode_text(part.to(self.opened.device)).float(), dim=-1)
            for part in torch.split(tokens, self.batch)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def classifier(self, classes: tuple[str, ...], templates: tuple[str, ...]) -> torch.Tensor:
        """A column a class, shape (width, classes): the mean of its prompts' normalised embeddings, normalised
        (Radford et al. 2021, arXiv 2103.00020, §3.1.4; CLIP_benchmark's ``zero_shot_classifier``)."""
        if (classes, templates) not in self._classifiers:
            each = self.embed(prompts(classes, templates))
            mean = each.view(len(classes), len(templates), -1).mean(dim=1)
            self._classifiers[classes, templates] = (mean / mean.norm(dim=-1, keepdim=True)).T.contiguous()
        return self._classifiers[classes, templates]
