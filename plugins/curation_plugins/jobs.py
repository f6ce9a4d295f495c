"""What goes to a worker process and what must come back; both checked on the host.

A worker's class gets the job as a plain ``dict`` (paths as strings) and returns a plain ``dict``: it may run
under an interpreter that has none of our packages.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from curation_plugins.config import Frozen

Split = Literal["public", "sealed"]
Role = Literal["train", "evaluate", "signal"]


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


class TrainJob(Frozen):
    selection: Path
    """Frozen submission in canonical form, see ``curation_plugins.selection``."""
    assets: Path
    """The task's assets folder (see ``curation_plugins.assets``)."""
    recipe: dict[str, Any]
    seed: int
    out: Path
    """Existing empty folder; the trained model is written here."""


class TrainResult(Frozen):
    model: str
    """Name, inside the job's ``out``, of the file or folder that ``evaluate`` loads."""
    steps: int = Field(ge=0)
    samples: int = Field(ge=0)
    """Training samples seen, repeats counted."""
    loss: Finite
    """Mean loss over the last tenth of training."""
    notes: dict[str, Finite] = {}
    """Counts and measures worth recording, e.g. ``fully_masked_rows``."""


class EvaluateJob(Frozen):
    model: Path | None
    """What ``TrainResult.model`` named; none for the base model."""
    assets: Path
    split: Split
    recipe: dict[str, Any]
    out: Path
    """File to write: one JSON object a line, see ``ItemResult``."""


class ItemResult(Frozen):
    """One scored benchmark item."""

    benchmark: str
    item: str
    group: str
    """Items of one group (same image, same question) are not independent."""
    score: Annotated[float, Field(ge=0.0, le=1.0)]
    prediction: str = ""


class EvaluateResult(Frozen):
    items: int = Field(gt=0)
    """Lines written to the job's ``out``."""


class SignalJob(Frozen):
    name: str
    rows: tuple[int, ...]
    assets: Path
    recipe: dict[str, Any]


class SignalResult(Frozen):
    values: tuple[Finite | tuple[Finite, ...] | None, ...]
    """One per row of the job, in its order."""
