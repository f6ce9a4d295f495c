"""What a diagnosis comes to, in words: the same in the terminal and in HTML."""

from __future__ import annotations

from curation_harness.diagnostics.comparison import Figure
from curation_harness.diagnostics.diagnosis import Diagnosed, RunDiagnosis
from curation_harness.diagnostics.judgement import Flag
from curation_harness.diagnostics.summary import Count, LabelLine
from curation_harness.report import wording
from curation_harness.report.wording import NOTHING, duration


def count(found: Count) -> str:
    """``3 of 9 (33%)``."""
    return NOTHING if found.share is None else f"{found.count} of {found.of} ({found.share:.0%})"


def share(figure: Figure | None) -> str:
    """``33% (12% to 54%)``: mean over runs and its interval."""
    if figure is None:
        return NOTHING
    if figure.interval is None:
        return f"{figure.mean:.0%}"
    return f"{figure.mean:.0%} ({figure.interval.low:.0%} to {figure.interval.high:.0%})"


def number(figure: Figure | None, digits: int = 3) -> str:
    if figure is None:
        return NOTHING
    if figure.interval is None:
        return f"{figure.mean:.{digits}f}"
    return f"{figure.mean:.{digits}f} ({figure.interval.low:.{digits}f} to {figure.interval.high:.{digits}f})"


def dollars(figure: Figure | None) -> str:
    return NOTHING if figure is None else f"${number(figure, 2)}"


def seconds(figure: Figure | None) -> str:
    return NOTHING if figure is None else duration(figure.mean)


def flag(found: Flag) -> str:
    return {True: "yes", False: "no", None: NOTHING}[found.value]


def label(one: Diagnosed) -> str:
    """The label; of a try without one, what became of it."""
    if one.labelled is not None:
        return one.labelled.label
    return {"refused": "refused", "failed": "our failure", "pending": "not scored yet"}.get(one.outcome, NOTHING)


def cost(line: LabelLine | RunDiagnosis) -> str:
    """``48 s of the agent, 12 min of the host, $0.31``."""
    parts = [f"{duration(line.agent_seconds)} of the agent", f"{duration(line.host_seconds)} of the host"]
    if line.dollars:
        parts.append(f"${line.dollars:,.2f}")
    return ", ".join(parts)


def total(run: RunDiagnosis) -> str:
    return f"The whole run took {cost(run)}, the headline apart."


def means(run: RunDiagnosis) -> str:
    """What a score of the run is: which mean; empty where the record does not say."""
    return wording.means(run.mean_of) if run.mean_of else ""


def gap(run: RunDiagnosis) -> str:
    """The execution-research gap in a sentence, with both of its parts."""
    summary = run.summary
    if summary.gap is None:
        return "Execution-research gap: not stated, since no attempt takes part in the shares."
    return (
        f"Execution-research gap {summary.gap:.2f}: {count(summary.execution)} of the tries ran through to a score,"
        f" and {count(summary.research)} did so with another procedure that rests on evidence."
    )


def chance(run: RunDiagnosis) -> str:
    """How far the search is beyond what random selections would have reached."""
    found = run.summary.beyond_chance
    if found is None:
        return "Too few random selections were measured to tell what searching at random would have reached."
    side = "above" if found >= 0 else "below"
    return (
        f"The best public score, {run.summary.best:.3f}, is {abs(found):.3f} {side} the expected best of as many"
        f" random selections ({run.random_draws} measured)."
    )


def noise(run: RunDiagnosis) -> str:
    if run.noise_floor is None:
        return "The noise floor was not measured, so nothing can be called effective."
    return f"Effective: above the best before it by more than the noise floor of {run.noise_floor:.3f}."


def left_out(run: RunDiagnosis) -> str:
    """What takes no part in the shares; empty: nothing."""
    summary = run.summary
    parts = [
        (summary.baseline, "a plain beginning (random, quotas or thresholds)"),
        (summary.unreadable, "code that could not be read"),
        (summary.failed, "a failure of the harness"),
        (summary.pending, "no score yet"),
    ]
    said = [f"{number_} with {what}" for number_, what in parts if number_]
    return f"Not in the shares: {', '.join(said)}." if said else ""


def by_chance(run: RunDiagnosis) -> float | None:
    """Jaccard index of two random selections of the size of the last attempt."""
    known = [one.features.overlap_by_chance for one in run.attempts if one.features.overlap_by_chance is not None]
    return known[-1] if known else None
