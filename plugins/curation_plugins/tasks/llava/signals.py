"""The signal worker: measurements over pool rows with the base model or an attempt's, in one warm process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from curation_plugins.tasks import hardware
from curation_plugins.tasks.llava import checkpoint, layout
from curation_plugins.tasks.llava.clip import Clip
from curation_plugins.tasks.llava.encode import Encoded, collate
from curation_plugins.tasks.llava.families.family import Seen
from curation_plugins.tasks.llava.forward import answer_logits, hidden_states
from curation_plugins.tasks.llava.images import average_hash, open_rgb
from curation_plugins.tasks.llava.nearest import Neighbours
from curation_plugins.tasks.llava.offered import NEIGHBOURS
from curation_plugins.tasks.llava.recipe import read_recipe
from curation_plugins.tasks.llava.rows import Row, RowFile
from curation_plugins.tasks.llava.shipping import CLIP, FACTS, Facts, pack_facts
from curation_plugins.tasks.llava.sketches import Sketcher, as_tuples, row_losses
from curation_plugins.tasks.llava.train import PoolCache, PoolState, Progress

Features = Callable[[Sequence[str]], Seen | None]
"""Images of rows as the model's forward pass takes them, see `PoolState.features`."""


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
        owners = owners.cpu()
        count = torch.bincount(owners, minlength=len(places)).tolist()
        each = of_tokens(logits.float(), targets).cpu()
        total = torch.zeros(len(places)).index_add_(0, owners, each).tolist()
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
            mean = hidden[n, : len(rows[place].ids)].float().mean(0).cpu()
            out[place] = tuple(round(value, 6) for value in mean.tolist())
    return out


def gradients(
    model: Any, rows: Sequence[Encoded], features: Features, pad_id: int, batch: int
) -> list[tuple[float, ...] | None]:
    """The gradient of each row's mean answer loss, projected; see `sketches`. None for a row without an answer."""
    out: list[tuple[float, ...] | None] = [None] * len(rows)
    for places in _by_length(rows, batch):
        chosen = [rows[place] for place in places]
        collated = collate(chosen, pad_id)
        with Sketcher(model, len(places)) as sketcher, torch.enable_grad():
            logits, targets, owners = answer_logits(model, collated, features(collated.images))
            if len(targets):
                row_losses(_losses(logits, targets), owners, len(places)).backward()  # type: ignore[no-untyped-call]
        found = as_tuples(sketcher.sum, [bool(row.supervised[1:].any()) for row in chosen])
        for place, sketch in zip(places, found, strict=True):
            out[place] = sketch
    return out


def _by_length(rows: Sequence[Encoded], batch: int) -> list[list[int]]:
    order = sorted(range(len(rows)), key=lambda place: len(rows[place].ids))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


SIGNALS: dict[str, Callable[..., Sequence[float | tuple[float, ...] | None]]] = {
    "answer-loss": answer_losses,
    "el2n": error_norms,
    "embedding": embeddings,
    "gradient": gradients,
}
"""Name to function; `offered.py` describes them to agents."""


class Signaller:
    """Worker class of the role `signal`.

    Models, pool and the pool's vectors stay loaded between jobs; on a card only while a job runs, for the training,
    another process, may need it next.
    """

    def __init__(self) -> None:
        self._cache = PoolCache()
        self._trained: tuple[Path, Any] | None = None
        self._neighbours = Neighbours()
        self._clip: Clip | None = None

    def signal(self, job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Computes one signal for the rows of the job, in its order (see `curation_plugins.jobs.SignalJob`)."""
        began = time.perf_counter()
        assets, rows = Path(job["assets"]), tuple(job["rows"])
        of_pool: dict[str, Callable[[], Sequence[Any]]] = {
            NEIGHBOURS: lambda: self._neighbours.of(assets, rows),
            FACTS: lambda: _facts(assets, rows),
            CLIP: lambda: self._clip_of(Path(job["model"])).vectors(_rows_of(assets, rows), layout.pool(assets)),
        }
        try:
            measure = of_pool.get(job["name"]) or (lambda: self._measure(job, assets, rows, progress))
            values = [_defined(value) for value in measure()]
        finally:
            hardware.release()
        return {"values": values, "seconds": time.perf_counter() - began}

    def _measure(
        self, job: Mapping[str, Any], assets: Path, rows: tuple[int, ...], progress: Progress
    ) -> Sequence[float | tuple[float, ...] | None]:
        recipe = read_recipe(job["recipe"])
        progress("loading the model and the pool", 0.0)
        state = self._cache.get(assets, recipe)
        model = self._model(state, job.get("model")).to(state.device)
        encoded = state.encoded(rows)
        progress("computing", 0.5)
        try:
            return SIGNALS[job["name"]](model, encoded, state.features, state.pad_id, recipe.eval_batch)
        finally:
            if state.device.type != "cpu":
                model.to("cpu")

    def _model(self, state: PoolState, trained: str | None) -> Any:
        """The base model, or that of an attempt; of those the last one stays loaded.

        Raises:
            AssetsInvalid: the attempt's folder holds no model of the base model's shape.
        """
        if trained is None:
            return state.model
        path = Path(trained)
        if self._trained is None or self._trained[0] != path:
            self._trained = None  # two models at a time, not three
            checkpoint.require_same_shapes(layout.base_model(state.assets), path)
            dtype = str(state.model.dtype).removeprefix("torch.")
            self._trained = (path, checkpoint.load(path, dtype, "cpu", state.recipe.attention)[0])
        return self._trained[1]

    def _clip_of(self, folder: Path) -> Clip:
        if self._clip is None or self._clip.folder != folder:
            self._clip = Clip(folder)
        return self._clip


def image_facts(pool: Path, row: Row) -> Facts | None:
    """Average hash of a row's image, its width and height; none for a row without one."""
    if row.image is None:
        return None
    image = open_rgb(pool / row.image)
    return average_hash(image), image.width, image.height


def _defined(value: float | tuple[float, ...] | None) -> float | tuple[float, ...] | None:
    """None for what is not a number: the model of an attempt may have diverged, and that is no failure of ours."""
    numbers = value if isinstance(value, tuple) else (value,)
    return value if all(number is not None and math.isfinite(number) for number in numbers) else None


def _facts(assets: Path, rows: Sequence[int]) -> list[tuple[float, ...] | None]:
    found = (image_facts(layout.pool(assets), row) for row in _rows_of(assets, rows))
    return [None if one is None else pack_facts(*one) for one in found]


@lru_cache(maxsize=1)
def _row_file(path: Path) -> RowFile:
    return RowFile(path)


def _rows_of(assets: Path, rows: Sequence[int]) -> list[Row]:
    pool = _row_file(layout.rows_file(assets))
    return [pool[row] for row in rows]
