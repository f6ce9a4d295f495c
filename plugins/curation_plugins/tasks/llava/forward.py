"""The forward pass that training and signals share: logits only where there is loss."""

from __future__ import annotations

from typing import Any

import torch

from curation_plugins.tasks.llava.encode import IGNORED, Batch


def hidden_states(model: Any, batch: Batch, features: torch.Tensor | None) -> torch.Tensor:
    """Last hidden states of the language model, (rows, longest, width), from ready tower features."""
    embeds = model.get_input_embeddings()(batch.ids)
    if features is not None:
        projected = model.model.multi_modal_projector(features)
        mask = (batch.ids == model.config.image_token_id).unsqueeze(-1)
        embeds = embeds.masked_scatter(mask, projected.to(embeds.dtype))
    hidden: torch.Tensor = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
    return hidden


def answer_logits(
    model: Any, batch: Batch, features: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of the supervised tokens.

    Equal to the model's own forward up to rounding (tested), without the output layer at prompt positions and
    without running the frozen tower again.

    Returns:
        logits (n, vocabulary), their target ids (n,), and the batch row of each (n,).
    """
    hidden = hidden_states(model, batch, features)
    targets = batch.labels[:, 1:]
    wanted = targets != IGNORED
    rows = wanted.nonzero()[:, 0]
    return model.lm_head(hidden[:, :-1][wanted]), targets[wanted], rows
