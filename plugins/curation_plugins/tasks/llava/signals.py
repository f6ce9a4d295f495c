"""The signal worker: measurements over pool rows with the base model, in one warm process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from curation_plugins.tasks.llava.encode import Encoded, collate
from curation_plugins.tasks.llava.fit import Features
from curation_plugins.tasks.llava.forward import answer_logits, hidden_states
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.train import PoolCache, Progress


def answer_losses(
    model: Any, rows: Sequence[Encoded], features: Features, pad_id: int, batch: int
) -> list[float | None]:
    """Mean loss in nats over each row's supervised tokens; none for a row without any.

    Also called the answer's log-perplexity; the score behind loss-top, loss-band and perplexity selection.
    """
    return _means_over_answers(_losses, model, rows, features, pad_id, batch)


def error_norms(
    model: Any, rows: Sequence[Encoded], features: Features, pad_id: int, batch: int
) -> list[float | None]:
    """EL2N: the length of (softmax − one-hot), mean over a row's supervised tokens; none for a row without any.

    Paul, Ganguli, Dziugaite 2021 ("Deep Learning on a Data Diet"), taken to answer tokens.
    """
    return _means_over_answers(_error_norms, model, rows, features, pad_id, batch)


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def _error_norms(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    error = logits.softmax(-1)
    error[torch.arange(len(targets)), targets] -= 1.0
    norms: torch.Tensor = torch.linalg.vector_norm(error, dim=-1)
    return norms


@torch.no_grad()
def _means_over_answers(
    of_tokens: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    model: Any,
    rows: Sequence[Encoded],
    features: Features,
    pad_id: int,
    batch: int,
) -> list[float | None]:
    """Mean over each row's supervised tokens of a function of (logits, targets)."""
    out: list[float | None] = [None] * len(rows)
    for places in _by_length(rows, batch):
        collated = collate([rows[place] for place in places], pad_id)
        logits, targets, owners = answer_logits(model, collated, features(collated.images))
        count = torch.bincount(owners, minlength=len(places)).tolist()
        total = torch.zeros(len(places)).index_add_(0, owners, of_tokens(logits, targets)).tolist()
        for place, n, value in zip(places, count, total, strict=True):
            out[place] = value / n if n else None
    return out


@torch.no_grad()
def embeddings(
    model: Any, rows: Sequence[Encoded], features: Features, pad_id: int, batch: int
) -> list[tuple[float, ...] | None]:
    """The language model's last hidden state, mean over the whole row, image positions included.

    One vector of the model's width a row; it holds image and text together.
    """
    out: list[tuple[float, ...] | None] = [None] * len(rows)
    for places in _by_length(rows, batch):
        collated = collate([rows[place] for place in places], pad_id)
        hidden = hidden_states(model, collated, features(collated.images))
        for n, place in enumerate(places):
            mean = hidden[n, : len(rows[place].ids)].mean(0)
            out[place] = tuple(round(value, 6) for value in mean.tolist())
    return out


def _by_length(rows: Sequence[Encoded], batch: int) -> list[list[int]]:
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].ids))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


SIGNALS: dict[str, Callable[..., Sequence[float | tuple[float, ...] | None]]] = {
    "answer-loss": answer_losses,
    "el2n": error_norms,
    "embedding": embeddings,
}
"""Name to function; `task.py` describes them to agents."""


class Signaller:
    """Worker class of the role `signal`."""

    def __init__(self) -> None:
        self._cache = PoolCache()

    def signal(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Computes one signal for the rows of the job, in its order (see `curation_plugins.jobs.SignalJob`)."""
        recipe = read_recipe(job["recipe"])
        progress("loading the base model and the pool", 0.0)
        state = self._cache.get(Path(job["assets"]), recipe)
        rows = state.encoded(tuple(job["rows"]))
        progress("computing", 0.5)
        measure = SIGNALS[job["name"]]
        values = measure(state.model, rows, state.features, state.pad_id, recipe.eval_batch)
        return {"values": list(values)}
