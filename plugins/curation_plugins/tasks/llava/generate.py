"""Greedy answers of a model to questions about images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from curation_plugins.tasks.llava.encode import Encoded


@torch.no_grad()
def greedy_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Encoded],
    pixels: torch.Tensor,
    *,
    batch: int,
    max_new_tokens: int,
) -> list[str]:
    """One answer a prompt, up to the end token, decoded and stripped.

    Prompts of one batch have one length, so that no answer depends on padding.

    Args:
        pixels: one preprocessed image a prompt, (n, 3, height, width).
    """
    answers = [""] * len(prompts)
    lengths = np.asarray([len(prompt.ids) for prompt in prompts])
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        for start in range(0, len(places), batch):
            chosen = places[start : start + batch]
            ids = torch.from_numpy(np.stack([prompts[place].ids for place in chosen]))
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                pixel_values=pixels[torch.from_numpy(chosen)],
                do_sample=False,
                max_new_tokens=max_new_tokens,
            )
            texts = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            for place, text in zip(chosen.tolist(), texts, strict=True):
                answers[place] = text.strip()
    return answers
