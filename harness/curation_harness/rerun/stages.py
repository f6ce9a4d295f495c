"""The stages of a rerun and their verdicts: ``reruns/NNN-submissions.json`` and ``reruns/NNN-live.json``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from curation_harness.record.entry import Entry
from curation_harness.record.models import CodeRevision, Hardware

Verdict = Literal["equal", "within-epsilon", "differs"]
StageKind = Literal["conversation", "submission", "refusals", "training", "scores", "headline"]
CauseKind = Literal[
    "image",
    "runtime",
    "agent",
    "scaffold",
    "seed",
    "files",
    "recipe",
    "scoring",
    "package",
    "hardware",
    "code",
]

_MADE_BY: Final[dict[StageKind, frozenset[CauseKind]]] = {
    "conversation": frozenset({"image", "runtime", "agent", "scaffold", "seed", "files", "code"}),
    "submission": frozenset({"image", "runtime", "agent", "scaffold", "seed", "files", "hardware", "code"}),
    "refusals": frozenset({"image", "runtime", "agent", "scaffold", "seed", "files", "code"}),
    "training": frozenset({"seed", "files", "recipe", "package", "hardware", "code"}),
    "scores": frozenset({"files", "recipe", "scoring", "package", "hardware", "code"}),
    "headline": frozenset({"seed", "files", "recipe", "scoring", "package", "hardware", "code"}),
}
"""What a stage rests on, besides the stages before it."""

_AFTER: Final[dict[StageKind, tuple[StageKind, ...]]] = {
    "conversation": (),
    "submission": ("conversation",),
    "refusals": ("conversation",),
    "training": ("submission",),
    "scores": ("training", "submission"),
    "headline": ("scores", "training", "submission"),
}
"""The stages whose outcome is a stage's input, the nearest first."""

NOT_REPEATABLE: Final = "nothing that is recorded is different: the stage does not repeat itself"


class Cause(Entry):
    """One thing that is different from when the run was made."""

    kind: CauseKind
    what: str
    """Which of its kind, e.g. the package's name."""
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}: {self.then} then, {self.now} now"


class Stage(Entry):
    """One stage, then and now."""

    kind: StageKind
    n: int | None = None
    """The attempt; none: of the whole run."""
    part: str = ""
    """Which of several: ``public``, ``sealed``, ``seed 1``."""
    verdict: Verdict
    measure: str
    """What ``value`` is."""
    value: float | None = None
    """None: it cannot be measured, e.g. because one of the two runs does not have the stage."""
    epsilon: float | None = None
    """The largest value that is ``within-epsilon``; none: this kind is equal or differs."""
    detail: str = ""
    """What was found, in a few words."""
    why: tuple[str, ...] = ()
    """Of a stage that is not equal."""

    @property
    def name(self) -> str:
        of = "" if self.n is None else f" {self.n}"
        return f"{self.kind}{of}{f' {self.part}' if self.part else ''}"


class Rerun(Entry):
    """What a rerun found."""

    kind: Literal["submissions", "live"]
    run_id: str
    verdict: Verdict
    """The worst over the stages."""
    epsilon: float
    stages: tuple[Stage, ...]
    causes: tuple[Cause, ...]
    record: str | None = None
    """Of ``live``: the id of the new run, in the same folder of runs."""
    code: CodeRevision
    hardware: Hardware
    packages: dict[str, str]
    made: str
    """ISO 8601, UTC."""


def worst(stages: Iterable[Stage]) -> Verdict:
    order: tuple[Verdict, ...] = ("equal", "within-epsilon", "differs")
    return max((stage.verdict for stage in stages), key=order.index, default="equal")


def explained(stages: Sequence[Stage], causes: Sequence[Cause]) -> tuple[Stage, ...]:
    """The stages, each that is not equal with its reasons; ``stages`` in the order of the run."""
    return tuple(
        stage if stage.verdict == "equal" else stage.model_copy(update={"why": _why(stage, stages, causes)})
        for stage in stages
    )


def _why(stage: Stage, stages: Sequence[Stage], causes: Sequence[Cause]) -> tuple[str, ...]:
    before = [
        f"{earlier.name} is not equal"
        for kind in _AFTER[stage.kind]
        for earlier in stages
        if earlier.kind == kind and earlier.verdict != "equal" and _same_attempt(earlier, stage)
    ]
    found = (*before[:1], *stage.why, *(str(cause) for cause in causes if cause.kind in _MADE_BY[stage.kind]))
    return found or (NOT_REPEATABLE,)


def _same_attempt(earlier: Stage, stage: Stage) -> bool:
    return stage.kind == "headline" or earlier.n is None or stage.n is None or earlier.n == stage.n
