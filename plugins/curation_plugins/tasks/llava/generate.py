"""Greedy answers of a model to questions about images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from curation_plugins.tasks.llava.families.known import family_of


@dataclass(frozen=True)
class Prompt:
    """One answer wanted."""

    ids: NDArray[np.int64]
    """Token ids, (n,), an image's mark expanded to the ids that the image takes."""
    images: int
    """How many images it shows."""
    max_tokens: int
    """Longest answer."""


@torch.no_grad()
def greedy_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    pixels: Callable[[Sequence[int]], Mapping[str, torch.Tensor]],
    *,
    batch: int,
    progress: Callable[[float], None] = lambda done: None,
) -> list[str]:
    """One answer a prompt, up to the end token, decoded and stripped.

    Prompts of one batch have one length, one number of images and one limit, so that no answer depends on padding.

    Args:
        pixels: the preprocessed images of these prompts, in order (`Family.pixels`).
        progress: told the share of the prompts that are answered.
    """
    family = family_of(model.config)
    answers = [""] * len(prompts)
    alike: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        alike[len(prompt.ids), prompt.images, prompt.max_tokens].append(place)
    done = 0
    for (_, images, limit), places in sorted(alike.items()):
        for start in range(0, len(places), batch):
            chosen = places[start : start + batch]
            ids = torch.from_numpy(np.stack([prompts[place].ids for place in chosen])).to(model.device)
            seen = family.inputs(model.config, ids, _moved(pixels(chosen), model)) if images else {}
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=limit,
                **seen,
            )
            texts = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            for place, text in zip(chosen, texts, strict=True):
                answers[place] = text.strip()
            done += len(chosen)
            progress(done / len(prompts))
    return answers


def _moved(pixels: Mapping[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """On the model's device; real numbers in its type."""
    return {
        name: tensor.to(model.device, model.dtype if tensor.is_floating_point() else None)
        for name, tensor in pixels.items()
    }
