"""open_clip's contrastive loss over a whole batch, whatever parts the batch is computed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import open_clip
import torch

Features = dict[str, torch.Tensor]


class Contrast:
    """The loss of a batch, and its gradient.

    A batch that is one forward pass goes through open_clip's loss as it is. One of several passes takes two rounds:
    first the features of every pass without gradient; the loss and its gradient by the features; then each pass
    again, with that gradient handed to it (Gao et al. 2021, arXiv 2101.06983, section 3.2). It is the gradient that
    open_clip's accumulation gives (open_clip_train/train.py of 3.3.0, `accum_freq`), except for the temperature,
    which gets its gradient there once a pass, and here once.
    """

    def __init__(self, rank: int = 0, cards: int = 1) -> None:
        """Over several cards, each holding a part: its own rows against everybody's (open_clip's local loss), with
        gradients through what was gathered."""
        several = cards > 1
        self._loss: Any = open_clip.ClipLoss(
            local_loss=several, gather_with_grad=several, cache_labels=True, rank=rank, world_size=cards
        )

    def backward(self, model: Any, parts: Sequence[tuple[torch.Tensor, torch.Tensor]], half: bool) -> torch.Tensor:
        """Adds the batch's gradient to the model's; the loss, detached.

        Args:
            parts: images and tokens of each forward pass.
            half: compute in bf16 where autocast does.
        """
        kind = next(model.parameters()).device.type
        cast = torch.autocast(kind, torch.bfloat16, enabled=half)
        if len(parts) == 1:
            with cast:
                loss: torch.Tensor = self._loss(**model(*parts[0]))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        with torch.no_grad(), cast:
            found = [_features(model(*part)) for part in parts]
        whole = {key: torch.cat([one[key] for one in found]).requires_grad_() for key in found[0]}
        with cast:
            loss = self._loss(**whole, logit_scale=model.logit_scale.exp())
        loss.backward()  # type: ignore[no-untyped-call]
        at = 0
        for images, tokens in parts:
            with cast:
                again = _features(model(images, tokens))
            end = at + len(images)
            gradients = []
            for key in again:
                gradient = whole[key].grad
                assert gradient is not None
                gradients.append(gradient[at:end])
            torch.autograd.backward(list(again.values()), gradients)
            at = end
        return loss.detach()


def _features(out: dict[str, torch.Tensor]) -> Features:
    return {key: out[key] for key in ("image_features", "text_features")}
