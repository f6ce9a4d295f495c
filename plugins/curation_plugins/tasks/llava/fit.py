"""The training loop: accumulated micro-batches, AdamW, warm-up and cosine, clipping, optional weight averaging."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from curation_plugins.tasks.hardware import set_determinism
from curation_plugins.tasks.llava.batching import batches
from curation_plugins.tasks.llava.cards import Group
from curation_plugins.tasks.llava.encode import BLANK, Batch, Encoded, collate
from curation_plugins.tasks.llava.families.family import Seen
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.forward import answer_logits, on_device
from curation_plugins.tasks.llava.optimiser import Average, make_optimiser, warmup_cosine
from curation_plugins.tasks.llava.recipe import Recipe
from curation_plugins.tasks.llava.tuning import Tuned, tune

Features = Callable[[Sequence[str]], Seen | None]
"""Images of rows, for a forward pass; none for no images."""


class Pictures(Protocol):
    """Images of rows, for the forward pass."""

    def __call__(self, images: Sequence[str]) -> Seen | None:
        """These images, in order; none if there are none."""

    def ahead(self, batches: Iterable[Sequence[str]]) -> Iterator[Seen | None]:
        """What calling it with each in turn gives, perhaps begun before it is asked for."""


@dataclass(frozen=True)
class Fitted:
    """What a training run measured of itself."""

    steps: int
    samples: int
    loss: float
    """Mean over the last tenth of the steps."""
    fully_masked_rows: int
    """Rows of the selection without one supervised token: they were trained on in vain."""
    truncated_rows: int
    """Rows of the selection that were cut at the longest length."""
    supervised_tokens: int
    """In the selection, once."""
    losses: tuple[float, ...]
    """Of every step."""


class Student(torch.nn.Module):
    """The model with its loss as one module: what several cards share is the outermost module's forward pass."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: Batch, weights: torch.Tensor, seen: Seen | None, blank: Seen | None = None
    ) -> torch.Tensor:
        """Sum of the supervised tokens' losses, each times the weight of its row; a scalar in fp32.

        Args:
            blank: an image that is put through and counts nothing where there is no other: cards that share weights
                must all use the same ones in each pass.
        """
        logits, targets, places = answer_logits(self.model, batch, seen)
        each = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        summed = (each * weights.to(each.device)[places]).sum()
        if seen is None and blank is not None:
            unseen = on_device(blank, self.model.device)
            assert unseen is not None
            summed = summed + 0.0 * family_of(self.model.config).project(self.model, unseen).float().sum()
        return summed


@dataclass(frozen=True)
class Ready:
    """A model that can be trained as a recipe says."""

    student: Student
    tuned: Tuned


def ready(model: Any, recipe: Recipe, group: Group) -> Ready:
    """Makes `model` ready, in place: tuned, and its weights shared over the group."""
    tuned = tune(model, recipe)
    return Ready(group.share(Student(tuned.model), tuned, recipe), tuned)


def fit(
    model: Any,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    pictures: Pictures,
    recipe: Recipe,
    seed: int,
    pad_id: int,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> Fitted:
    """Trains `model` in place, on the device where it is: see `fit_ready`."""
    set_determinism(recipe.threads, seed, deterministic=recipe.deterministic)
    alone = Group.alone()
    made = ready(model, recipe, alone)
    return fit_ready(made, rows, weights, pictures, recipe, seed, pad_id, progress, alone)


def fit_ready(
    made: Ready,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    pictures: Pictures,
    recipe: Recipe,
    seed: int,
    pad_id: int,
    progress: Callable[[int, int, float], None],
    group: Group,
) -> Fitted:
    """Trains a model that was made ready.

    The loss of a step is the mean over the batch's supervised tokens, each weighted by its row, whatever the number
    of micro-batches and cards.

    Args:
        rows: the encoded selection; its order matters only through `seed`.
        weights: one per row.
        progress: called after every step with (steps done, all steps, current loss).
        group: the cards that train together.
    """
    student, tuned = made.student, made.tuned
    tuned.model.train()
    parameters = [p for p in student.parameters() if p.requires_grad]
    losses = _steps(student, parameters, tuned, rows, weights, pictures, recipe, seed, pad_id, progress, group)
    tuned.merge()
    tuned.model.eval()
    return Fitted(
        steps=len(losses),
        samples=len(losses) * recipe.batch,
        loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        fully_masked_rows=sum(row.fully_masked for row in rows),
        truncated_rows=sum(row.cut for row in rows),
        supervised_tokens=int(sum(row.supervised[1:].sum() for row in rows)),
        losses=tuple(losses),
    )


def _steps(
    student: Student,
    parameters: list[torch.nn.Parameter],
    tuned: Tuned,
    rows: Sequence[Encoded],
    weights: Sequence[float],
    pictures: Pictures,
    recipe: Recipe,
    seed: int,
    pad_id: int,
    progress: Callable[[int, int, float], None],
    group: Group,
) -> list[float]:
    """Runs them all; the loss of each."""
    steps = recipe.total_steps(len(rows))
    optimiser = make_optimiser(parameters, tuned.family.projector(tuned.model), recipe)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, warmup_cosine(steps, recipe.warmup))
    average = Average(parameters, start=steps - round(recipe.average_last * steps))
    row_weights = torch.tensor(weights, dtype=torch.float32)
    plan = list(_plan(rows, recipe, steps, seed))
    mine = [parts[group.rank :: group.size] for parts in plan]
    seen = pictures.ahead([_images(rows, part) for parts in mine for part in parts])
    blank = pictures([BLANK]) if group.size > 1 else None
    half = recipe.precision == "mixed" and tuned.model.device.type == "cuda"
    losses: list[float] = []
    for step, (parts, all_parts) in enumerate(zip(mine, plan, strict=True)):
        total = sum(_weight(rows, row_weights, part) for part in all_parts)
        optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=tuned.model.device)
        for part in parts:
            batch = collate([rows[int(i)] for i in part], pad_id)
            with torch.autocast("cuda", torch.bfloat16, enabled=half):
                summed = student(batch, row_weights[torch.from_numpy(part)], next(seen), blank)
            # A batch without any supervised token gives 0/0; it must not poison the weights.
            share = summed / max(float(total), 1e-8)
            group.backward(share)
            loss += share.detach()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
        optimiser.step()
        rate.step()
        average.after(step)
        losses.append(group.sum(loss))
        progress(step + 1, steps, losses[-1])
    average.apply()
    return losses


def _plan(rows: Sequence[Encoded], recipe: Recipe, steps: int, seed: int) -> Iterator[list[NDArray[np.int64]]]:
    """The micro-batches of every step. Rows of similar length share one, so that little of it is padding; which rows
    share a step does not depend on that."""
    lengths = np.asarray([len(row.ids) for row in rows])
    for chosen in batches(lengths.tolist(), recipe.batch, steps, seed, grouped=recipe.length_grouped):
        count = recipe.batch // recipe.rows_a_pass
        if count > 1:
            chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        yield np.split(chosen, count)


def _images(rows: Sequence[Encoded], part: NDArray[np.int64]) -> list[str]:
    return [image for i in part if (image := rows[int(i)].image) is not None]


def _weight(rows: Sequence[Encoded], row_weights: torch.Tensor, part: NDArray[np.int64]) -> torch.Tensor:
    """Sum over the supervised tokens of the weight of their row."""
    counts = torch.tensor([int(rows[int(i)].supervised[1:].sum()) for i in part])
    return row_weights[torch.from_numpy(part)].repeat_interleave(counts).sum()
