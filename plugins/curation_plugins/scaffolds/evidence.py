"""Scores that a written file quotes: they must be what the agent was told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from curation_plugins.config import Frozen
from curation_plugins.gating import EarlierTry, GateView
from curation_plugins.scaffolds.written import Draft, Place
from curation_sandbox.protocol import Feedback

MEAN: Final = "mean"
"""What the mean of all benchmarks is called in evidence and hypotheses."""

Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=2000)]


class Quoted(Frozen):
    """One score that was told."""

    attempt: Annotated[int, Field(ge=1)]
    benchmark: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """A benchmark's name, or ``mean``."""
    score: Annotated[float, Field(ge=0, le=1)]
    """As told, rounded to no fewer than two decimals."""


def scored(view: GateView) -> list[EarlierTry]:
    """Attempts that have a score, in order."""
    return [earlier for earlier in view.earlier if earlier.n is not None and earlier.feedback is not None]


def figure(feedback: Feedback, benchmark: str) -> float | None:
    """A score by name; none: it was not told."""
    if benchmark == MEAN:
        return feedback.mean
    found = (feedback.by_benchmark or {}).get(benchmark)
    return None if found is None else found.mean


def told(feedback: Feedback) -> str:
    return ", ".join([MEAN, *sorted(feedback.by_benchmark or {})])


def check(view: GateView, quotes: Sequence[Quoted], draft: Draft[Any], at: Place = ("evidence",)) -> None:
    """Add a problem for every quote that the feedback does not bear out, and where the last score is not looked
    at."""
    known = {earlier.n: earlier.feedback for earlier in scored(view)}
    if not known:
        if quotes:
            draft.add("evidence", at, "quotes a score, and this run has none yet: leave evidence empty ([])")
        return
    last = max(n for n in known if n is not None)
    if not any(quote.attempt == last for quote in quotes):
        draft.add("evidence", at, f"no figure of attempt {last}, the last one with a score; quote at least one of it")
    for place, quote in enumerate(quotes):
        feedback = known.get(quote.attempt)
        if feedback is None:
            draft.add("evidence", (*at, place, "attempt"), f"attempt {quote.attempt} has no score in this run")
            continue
        actual = figure(feedback, quote.benchmark)
        if actual is None:
            said = (
                f"no score {quote.benchmark[:40]!r} was told of attempt {quote.attempt}; told were: {told(feedback)}"
            )
            draft.add("evidence", (*at, place, "benchmark"), said)
        elif not _agrees(draft.scalar((*at, place, "score")), actual):
            said = f"attempt {quote.attempt} was told {quote.benchmark} {actual:.4f}, and {quote.score} is quoted"
            draft.add("evidence", (*at, place, "score"), said)


def _agrees(written: str, actual: float) -> bool:
    """Whether a figure, as written, is the actual one rounded to its decimals, of which two are needed."""
    try:
        exponent = Decimal(written).as_tuple().exponent
        value = float(written)
    except (InvalidOperation, ValueError):
        return False
    if not isinstance(exponent, int):
        return False
    if abs(value - actual) < 1e-9:
        return True
    return exponent <= -2 and abs(value - actual) <= 0.5 * 10.0**exponent + 1e-9
