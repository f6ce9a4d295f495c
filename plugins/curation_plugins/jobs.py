"""What goes to a worker process and what must come back; both checked on the host.

A worker's class gets the job as a plain ``dict`` (paths as strings) and returns a plain ``dict``: it may run
under an interpreter that has none of our packages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, JsonValue, model_validator

from curation_plugins.config import Frozen
from curation_plugins.errors import WorkerReplyInvalid

Split = Literal["public", "sealed"]
Role = Literal["train", "evaluate", "signal"]
Aggregate = Literal["mean", "worst"]
"""How a benchmark's score is made of its metrics: their unweighted mean, or the lowest of them."""
EntryT = TypeVar("EntryT", bound=Frozen)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be finite")
    return value


Finite = Annotated[float, AfterValidator(_finite)]


class WorkerSpec(Frozen):
    """How to start the worker process of one role."""

    entry: str
    """``package.module:Class``. The class is constructed once without arguments; each job calls the method
    named after the role: ``train(job, progress)``, ``evaluate(job, progress)``, ``signal(job, progress)``."""
    interpreter: Path | None = None
    """Another Python than the harness's own; it needs the standard library only."""
    python_path: tuple[Path, ...] = ()
    """Folders put on the worker's import path."""
    environment: dict[str, str] = {}
    """Added to the small fixed environment of a worker; the host's own environment is not inherited."""
    inherited: tuple[str, ...] = ()
    """Names of variables that the worker gets from the host's environment all the same, where they are set: a
    judge's key. Their values are written nowhere."""


class TrainJob(Frozen):
    selection: Path
    """Frozen submission in canonical form, see ``curation_plugins.selection``."""
    assets: Path
    """The task's assets folder (see ``curation_plugins.assets``)."""
    recipe: dict[str, Any]
    seed: int
    out: Path
    """Existing empty folder; the trained model is written here."""
    kept: Path | None = None
    """Folder, perhaps not there yet, that outlives a failed try and a run that was killed: what a trainer leaves here
    it finds again when the same work is done once more. None: there is no such place."""


class TrainResult(Frozen):
    model: str
    """Name, inside the job's ``out``, of the file or folder that ``evaluate`` loads."""
    steps: int = Field(ge=0)
    samples: int = Field(ge=0)
    """Training samples seen, repeats counted."""
    loss: Finite
    """Mean loss over the last tenth of training."""
    notes: dict[str, Finite] = {}
    """Counts and measures worth recording, e.g. ``fully_masked_rows``, threads and cards."""
    timings: dict[str, Finite] = {}
    """Measures that differ between two runs of the same training, e.g. samples a second."""
    about: dict[str, str] = {}
    """What it was trained on and with: recipe, device, versions."""


class EvaluateJob(Frozen):
    model: Path | None
    """What ``TrainResult.model`` named; none for the base model."""
    assets: Path
    split: Split
    recipe: dict[str, Any]
    evaluation: dict[str, Any] = {}
    """``evaluation`` of the task's configuration."""
    out: Path
    """File to write: one JSON object a line, see ``ItemResult``."""
    predictions: Path | None = None
    """Another: what the model said, a line an item in the order of ``out``, see ``Prediction``. None: it is not
    wanted. A task whose items cannot be scored again from it need not write it."""


Fault = Literal["answer", "judge"]
"""Why there is no number: nothing could be read from the model's answer, or from a judge's reply about it."""


class ItemUnit(Frozen):
    """What a benchmark's metric counts once: an item, or several (a figure with all its questions)."""

    metric: str
    value: Finite | None
    """Numerator; none if unscored."""
    base: Finite | None = 1.0
    """Denominator; none where it is not known, because the unit is unscored."""
    unscored: Fault | None = None
    """Set exactly where there is no value."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        return _scored_or_not(self, self.value, self.unscored)


class ItemResult(Frozen):
    """One scored benchmark item."""

    benchmark: str
    item: str
    group: str
    """Items of one group (same image, same question) are not independent."""
    score: Annotated[float, Field(ge=0.0, le=1.0)] | None
    """Share of the item that is right; none if nobody can say."""
    unscored: Fault | None = None
    """Whose fault it is that there is no score; set exactly where there is none."""
    reason: str = ""
    """Why there is no score, in a few words."""
    prediction: str = ""
    units: tuple[ItemUnit, ...] | None = None
    """What the benchmark's metrics count; none: the score itself, once. A metric is the sum of values over the sum of
    bases; a benchmark's score is the unweighted mean over its metrics, or what ``Task.aggregates`` says. A unit of
    several items stands with any one of them: it belongs to the item's group."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        return _scored_or_not(self, self.score, self.unscored)


class Prediction(Frozen):
    """What a model said to one item, before it was scored."""

    benchmark: str
    item: str
    answer: JsonValue
    """In the task's own form, so that ``Task.rescore`` needs neither the model nor a judge: text, the likeliest
    classes in order, a probability; with the replies of a judge where one graded it."""


def read_predictions(path: Path) -> Iterator[Prediction]:
    """The lines of a file of predictions.

    Raises:
        WorkerReplyInvalid: a line is none.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Prediction.model_validate_json(line)
            except ValueError as error:
                raise WorkerReplyInvalid(f"{path.name}, line {number}: no prediction ({error})") from None


def _scored_or_not(entry: EntryT, value: float | None, unscored: Fault | None) -> EntryT:
    if (value is None) == (unscored is None):
        raise ValueError("there is either a number or a fault for which there is none")
    return entry


class EvaluateResult(Frozen):
    items: int = Field(gt=0)
    """Lines written to the job's ``out``."""
    notes: dict[str, Finite] = {}
    """Counts and measures worth recording, e.g. how many of the items that were asked twice got another answer."""
    about: dict[str, str] = {}
    """What answered and graded: engine, versions, device, judge."""
    files: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")], ...] = ()
    """Names of further files that were written beside ``out`` and belong into the record, e.g. the scores in the form
    that others' programs read."""


class SignalJob(Frozen):
    name: str
    rows: tuple[int, ...]
    assets: Path
    recipe: dict[str, Any]
    model: Path | None = None
    """Model of an earlier attempt of the same run; none: the base model."""


class SignalResult(Frozen):
    values: tuple[Finite | tuple[Finite, ...] | None, ...]
    """One per row of the job, in its order."""
    seconds: Annotated[Finite, Field(ge=0)] | None = None
    """How long the accelerator was held for it, models loaded included; none: as long as the job took."""
