"""The forward pass that training and signals share: logits only where there is loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from curation_plugins.tasks.llava.encode import IGNORED, Batch
from curation_plugins.tasks.llava.families.family import Seen
from curation_plugins.tasks.llava.families.known import family_of


def hidden_states(model: Any, batch: Batch, seen: Seen | None) -> torch.Tensor:
    """Last hidden states of the language model, (rows, longest, width), on the model's device.

    Args:
        seen: the batch's images in row order, preprocessed or as ready tower features.
    """
    return family_of(model.config).hidden(model, batch.ids.to(model.device), on_device(seen, model.device))


def answer_logits(model: Any, batch: Batch, seen: Seen | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of the supervised tokens.

    Equal to the model's own forward up to rounding (tested for every family), without the output layer at prompt
    positions and, given tower features, without running the frozen tower again.

    Returns:
        logits (n, vocabulary), their target ids (n,), and the batch row of each (n,), on the model's device.
    """
    hidden = hidden_states(model, batch, seen)
    targets = batch.labels[:, 1:].to(hidden.device)
    wanted = targets != IGNORED
    rows = wanted.nonzero()[:, 0]
    return model.lm_head(hidden[:, :-1][wanted]), targets[wanted], rows


def on_device(seen: Seen | None, device: torch.device) -> Seen | None:
    """Images where the model is."""
    if isinstance(seen, Mapping):
        return {name: tensor.to(device, non_blocking=True) for name, tensor in seen.items()}
    return None if seen is None else seen.to(device, non_blocking=True)
