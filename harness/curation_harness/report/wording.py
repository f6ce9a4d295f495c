"""How numbers and outcomes are put into words, the same in the terminal and in the HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from curation_harness.record.measures import Noise, Spread
from curation_harness.record.models import Origin, RunStatus
from curation_harness.record.summary import AttemptLine, Summary
from curation_plugins.config import AuditCounts
from curation_sandbox.protocol import Budget

STATUS_SENTENCES: dict[RunStatus, str] = {
    "running": "The run is going on; what stands here is what there is so far.",
    "unscored": "The run was interrupted before it was scored: `harness resume` or `harness finish` goes on.",
    "scored": "The run is complete.",
    "empty": "The run ended without a scored attempt, so it has no headline.",
    "failed": "The harness failed and the run has no headline. That says nothing about the agent.",
}


NOTHING = "\N{EN DASH}"
"""In place of a number that there is not."""


def score(mean: float, stderr: float | None) -> str:
    """``0.512 ± 0.018``: mean and one standard error."""
    return f"{mean:.3f}" if stderr is None else f"{mean:.3f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{stderr:.3f}"


def outcome(line: AttemptLine) -> str:
    """An attempt's status for a reader; a failure of the harness is never the agent's."""
    if line.status == "failed":
        return "our failure"
    return line.status


def duration(seconds: float) -> str:
    """``48 s``, ``12 min``, ``3.4 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def moment(time: str) -> str:
    """``2026-06-01 10:00:00 UTC`` of an ISO 8601 time; what is none stays as it is."""
    try:
        parsed = datetime.fromisoformat(time).astimezone(UTC)
    except ValueError:
        return time
    return f"{parsed:%Y-%m-%d %H:%M:%S} UTC"


def amount(value: float, unit: str) -> str:
    if unit == "seconds":
        return duration(value)
    if unit == "dollars":
        return f"${value:,.2f}"
    return f"{value:,.0f}" if unit == "tokens" else f"{value:g}"


def spent(budget: Budget) -> str:
    """``3 of 4 (1 given back)``."""
    limit = "no limit" if budget.limit is None else f"of {amount(budget.limit, budget.unit)}"
    back = f" ({amount(budget.refunded, budget.unit)} given back)" if budget.refunded else ""
    return f"{amount(budget.spent, budget.unit)} {limit}{back}"


def audited(counts: AuditCounts) -> str:
    """``3 of 8,000 rows hold benchmark items and were nobody's to choose (found: 2 by image, 1 by question)``."""
    by_rule = ", ".join(f"{rows:,} by {rule}" for rule, rows in counts.by_rule.items())
    found = [f"found: {by_rule}"] if by_rule else []
    unreadable = [f"{counts.unreadable:,} with unreadable pictures"] if counts.unreadable else []
    if counts.items_unreadable:
        unreadable.append(f"{counts.items_unreadable:,} pictures of items were unreadable and compared with nothing")
    if counts.excludes:
        verb = "holds" if counts.excluded == 1 else "hold"
        said = f"{counts.excluded:,} of {counts.rows:,} rows {verb} benchmark items and were nobody's to choose"
        more = [*found, *([f"{counts.reported:,} more reported"] if counts.reported else []), *unreadable]
    else:
        verb = "looks" if counts.reported == 1 else "look"
        said = f"{counts.reported:,} of {counts.rows:,} rows {verb} like benchmark items; they may be chosen"
        if not counts.reported:
            said = f"none of {counts.rows:,} rows looks like a benchmark item"
        more = [*found, *unreadable]
    return f"{said} ({'; '.join(more)})" if more else said


def agent(summary: Summary) -> str:
    """``codex with openai/gpt-5``."""
    return f"{summary.agent} with {summary.model}" if summary.model else summary.agent


def seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def headline(summary: Summary) -> list[str]:
    """The run's result, sentence by sentence; what ``findings`` says comes on top."""
    sealed = summary.sealed
    named = [means(summary.mean_of)] if summary.mean_of else []
    if sealed is None:
        return [STATUS_SENTENCES[summary.status], *named]
    sentences = [
        f"Attempt {sealed.attempt}, the best by public score, was trained again"
        f" ({seeds(sealed.seeds)}) and scores {score(sealed.mean, sealed.stderr)} on {sealed.n} sealed"
        " items, which the agent never saw.",
        *named,
    ]
    if not summary.references:
        sentences.append(
            f"No references were measured for this task here (`harness references {summary.task}`), so there is"
            " nothing to compare it with."
        )
    return sentences


def means(names: Mapping[Literal["public", "sealed"], str]) -> str:
    """What a score is: which mean."""
    public, sealed = names["public"], names["sealed"]
    if public == sealed:
        return f"A score is the {sealed}."
    return f"A public score is the {public}, one on sealed or all items the {sealed}."


def noise(summary: Summary) -> str:
    """What a difference between two public scores has to exceed."""
    if summary.noise_floor is None:
        return "The noise floor was not measured: a difference between two attempts may be chance."
    return (
        f"Noise floor {summary.noise_floor:.3f}: the same data, trained under another seed, scores up to"
        " that much higher or lower on the public items (95%); smaller differences say nothing."
    )


def measured_noise(found: Noise) -> list[str]:
    """What `harness noise` measured, sentence by sentence."""
    train, evaluate = found.train["all"], found.evaluate["all"]
    sentences = [
        f"Training again under another seed moves the score on all items by a standard deviation of {_spread(train)},"
        f" from {seeds(len(train.values))} of one random selection."
    ]
    if evaluate.sd == 0 and not found.flipped:
        again = f"Evaluating one model {len(evaluate.values)} times gave the same score every time"
        again += "." if not found.reworded else f", with other words in {found.reworded:.2%} of the answers."
    else:
        again = (
            f"Evaluating one model {len(evaluate.values)} times moves it by {_spread(evaluate)}; between two"
            f" evaluations {found.flipped:.2%} of the items change their score and {found.reworded:.2%} their answer."
        )
    return [*sentences, again]


def _spread(found: Spread) -> str:
    if found.interval is None:
        return f"{found.sd:.4f}"
    return f"{found.sd:.4f} (95% interval {found.interval.low:.4f} to {found.interval.high:.4f})"


def origin(found: Origin) -> str:
    """Where imported references come from."""
    text = f"The references were not measured here: {found.measured_by} measured them, model {found.model},"
    text += f" recipe {found.recipe}."
    if found.other_digests:
        text += " They are of another pool or recipe than this task's; that they compare is the importer's word."
    return f"{text} {found.note}".rstrip()
