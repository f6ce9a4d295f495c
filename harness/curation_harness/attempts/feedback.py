"""What the agent is told after an attempt. Sees public scores only, by construction."""

from __future__ import annotations

from collections.abc import Sequence

from curation_harness.record.measures import Scores
from curation_harness.record.models import ReferenceTable
from curation_harness.record.summary import floor, reference_line
from curation_plugins.config import FeedbackRules
from curation_sandbox.protocol import Feedback, ReferenceScore, Score

TOLD_REFERENCES = ("base", "random", "source-balanced", "full")
"""References made from planted truth are not told: their scores would hint at how much is wrong in the pool."""


def compose(
    n: int,
    public: Scores,
    earlier: Sequence[tuple[int, float]],
    references: ReferenceTable | None,
    rules: FeedbackRules,
    mean_of: str = "",
) -> Feedback:
    """Feedback on attempt ``n``.

    Args:
        public: its public scores.
        earlier: (attempt, public mean) of the scored attempts before it.
        mean_of: what the public mean is called.
    """
    noise = floor(references)
    digits = rules.digits
    step = noise if rules.coarse else None
    mean = _stepped(public.mean, step)
    earlier = [(attempt, _stepped(value, step)) for attempt, value in earlier]
    best_attempt, best_mean = max([*earlier, (n, mean)], key=lambda pair: (pair[1], -pair[0]))
    return Feedback(
        mean=round(mean, digits),
        stderr=round(public.stderr, digits),
        n=public.n,
        by_benchmark={name: _rounded(score, step, digits) for name, score in public.by_benchmark.items()}
        if rules.by_benchmark
        else None,
        references=_told(references, digits),
        noise_floor=None if noise is None else round(noise, digits),
        best_so_far=round(best_mean, digits),
        best_attempt=best_attempt,
        message=_message(n, mean, earlier, noise),
        mean_of=mean_of,
    )


def _stepped(value: float, step: float | None) -> float:
    """The nearest whole multiple of ``step``; none: the value itself."""
    return round(value / step) * step if step else value


def _rounded(score: Score, step: float | None, digits: int) -> Score:
    return Score(mean=round(_stepped(score.mean, step), digits), stderr=round(score.stderr, digits), n=score.n)


def _told(table: ReferenceTable | None, digits: int) -> tuple[ReferenceScore, ...]:
    if table is None:
        return ()
    lines = [reference_line(arm) for arm in table.arms if arm.name in TOLD_REFERENCES]
    return tuple(
        ReferenceScore(
            name=line.name,
            mean=round(line.public, digits),
            sd=None if line.public_sd is None else round(line.public_sd, digits),
            seeds=line.seeds,
        )
        for line in lines
    )


def _message(n: int, mean: float, earlier: Sequence[tuple[int, float]], noise: float | None) -> str:
    if not earlier:
        return "The first scored attempt."
    attempt, best = max(earlier, key=lambda pair: (pair[1], -pair[0]))
    change = mean - best
    against = f"{change:+.4f} against the best before it (attempt {attempt})"
    if noise is None:
        return f"Attempt {n}: {against}. The noise floor of this task was not measured."
    if abs(change) <= noise:
        return f"Attempt {n}: {against}, inside the noise floor of {noise:.4f}: no evidence of a difference."
    return f"Attempt {n}: {against}, beyond the noise floor of {noise:.4f}."
