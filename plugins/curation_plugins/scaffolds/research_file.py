"""``research.yaml``: the observation, the hypothesis and the change of one attempt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from curation_plugins.config import Frozen
from curation_plugins.gating import EarlierTry, GateView
from curation_plugins.policies.code import PolicyCode
from curation_plugins.scaffolds import code_gate, evidence
from curation_plugins.scaffolds.evidence import MEAN, Quoted, Sentence
from curation_plugins.scaffolds.written import Draft, Written

CodePlace = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]+\.(py:[^\s:]+|ya?ml|md|txt|toml|json)$", max_length=300)
]
BODY: Final = "<module>"
"""What a file's own code, outside its functions, is called."""


class Hypothesis(Frozen):
    """What should happen to one score."""

    benchmark: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """A benchmark's name, or ``mean``."""
    direction: Literal["up", "down"]
    by: Annotated[float, Field(gt=0, le=1)]
    """How much, in the score's unit, against the attempt that ``change`` starts from (the first: against the base
    model)."""
    because: Sentence


class Change(Frozen):
    """What is done to test it."""

    attempt: Annotated[int, Field(ge=1)] | None
    """The attempt it starts from; none only before the first one."""
    functions: tuple[CodePlace, ...] = Field(max_length=300)
    """``file.py:qualified.name`` of all code that differs from that attempt's; ``file.py:<module>`` for what is in no
    function; the name alone of another file of the policy. Empty where ``attempt`` is none."""
    what: Sentence


class ResearchFile(Frozen):
    """The file as it is written."""

    observation: Sentence
    evidence: tuple[Quoted, ...] = Field(max_length=50)
    """Scores it rests on; empty before the first score."""
    hypothesis: Hypothesis
    change: Change


_STAND_IN: Final = "stands here for what could not be read"

RESEARCH: Final = Written(
    "research.yaml",
    "research",
    ResearchFile,
    {
        "observation": _STAND_IN,
        "evidence": [],
        "hypothesis": {"benchmark": "mean", "direction": "up", "by": 1, "because": _STAND_IN},
        "change": {"attempt": None, "functions": [], "what": _STAND_IN},
    },
)


def check(view: GateView, code: PolicyCode | None, draft: Draft[ResearchFile]) -> None:
    """Add every problem of ``research.yaml`` to the draft; of one that is read in part, those of its other keys."""
    written = draft.readable
    if written is None:
        return
    if "evidence" not in draft.unread:
        evidence.check(view, written.evidence, draft)
    if not draft.unread & {"evidence", "hypothesis"}:
        _hypothesis(view, draft, written)
    _said_before(view, draft, written)
    if "change" in draft.unread:
        return
    accepted = {earlier.n: earlier for earlier in view.earlier if earlier.outcome == "accepted"}
    base = accepted.get(written.change.attempt)
    if written.change.attempt is None:
        if accepted:
            draft.add("change", ("change", "attempt"), f"name the attempt it starts from: {_numbers(accepted)}")
        elif written.change.functions:
            draft.add("change", ("change", "functions"), "there is no attempt to differ from: leave functions empty")
    elif base is None:
        draft.add("change", ("change", "attempt"), f"there is no attempt {written.change.attempt} to start from")
    elif code is not None:
        _difference(view, draft, written, code, base)


def _numbers(accepted: dict[int | None, EarlierTry]) -> str:
    return ", ".join(str(n) for n in accepted)


def _hypothesis(view: GateView, draft: Draft[ResearchFile], written: ResearchFile) -> None:
    guess, at = written.hypothesis, ("hypothesis", "benchmark")
    scored = evidence.scored(view)
    feedback = scored[-1].feedback if scored else None
    if feedback is None:
        return
    now = evidence.figure(feedback, guess.benchmark)
    if now is None:
        said = f"no score {guess.benchmark!r} is told in this run; told are: {evidence.told(feedback)}"
        draft.add("hypothesis", at, said)
        return
    if not any(quote.benchmark == guess.benchmark for quote in written.evidence):
        draft.add("hypothesis", at, f"evidence quotes no figure of {guess.benchmark}, which the hypothesis is about")
    least = feedback.noise_floor if guess.benchmark == MEAN else None
    if guess.benchmark != MEAN and feedback.by_benchmark is not None:
        least = feedback.by_benchmark[guess.benchmark].stderr
    if least is not None and guess.by < least:
        what = "the noise floor" if guess.benchmark == MEAN else "the standard error of that score"
        draft.add("hypothesis", ("hypothesis", "by"), f"{guess.by} cannot be told from chance: {what} is {least:.4f}")


def _said_before(view: GateView, draft: Draft[ResearchFile], written: ResearchFile) -> None:
    for earlier in view.earlier:
        before = RESEARCH.read(earlier.policy).value if earlier.outcome == "accepted" else None
        if before is None:
            continue
        if before.observation == written.observation:
            draft.add("copied", ("observation",), f"observation is word for word that of attempt {earlier.n}")
        if before.hypothesis.because == written.hypothesis.because:
            draft.add("copied", ("hypothesis", "because"), f"because is word for word that of attempt {earlier.n}")


def _bodies(code: PolicyCode, policy: Mapping[str, Path]) -> dict[str, str]:
    """Everything that a policy consists of → what it is. What stands under one name twice is one."""
    found = {f"{file}:{BODY}": body for file, body in code.bodies.items()}
    for part in code.functions:
        name = f"{part.file}:{part.qualname}"
        found[name] = found.get(name, "") + part.body
    for name, path in policy.items():
        if not name.endswith(".py") and name != RESEARCH.name:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _difference(
    view: GateView, draft: Draft[ResearchFile], written: ResearchFile, code: PolicyCode, base: EarlierTry
) -> None:
    """The code named is the code that differs, all of it and no other."""
    before = code_gate.code_or_none(base.policy)
    if before is None:
        return
    old, new = _bodies(before, base.policy), _bodies(code, view.policy)
    differs = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    lines = {f"{part.file}:{part.qualname}": part.line for part in code.functions}
    if not differs:
        draft.add("change", ("change",), f"the code is that of attempt {base.n}; nothing was changed")
    named = set(written.change.functions)
    for name in sorted(differs - named):
        file = name.partition(":")[0]
        where = f"{file}:{lines.get(name, 1)}"
        said = f"{name} differs from attempt {base.n} ({where}) and is not named"
        draft.add("change", ("change", "functions"), said)
    for place, name in enumerate(written.change.functions):
        if name not in differs:
            said = f"{name} is as in attempt {base.n}" if name in new else f"there is no {name}"
            draft.add("change", ("change", "functions", place), said)
