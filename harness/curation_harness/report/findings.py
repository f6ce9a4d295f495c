"""What comparing a headline with references came to, in sentences: the same in the terminal and in HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from curation_harness.record.measures import Difference, Interval, Part
from curation_harness.record.summary import AttemptLine, ReferenceLine, Summary
from curation_harness.report import wording


def comparisons(summary: Summary) -> list[str]:
    """The headline beside each reference on sealed items; empty without a headline."""
    return [_compared(summary, line) for line in summary.references] if summary.sealed else []


def difference(summary: Summary, reference: str, part: Part) -> Difference | None:
    analysis = summary.sealed.analysis if summary.sealed else None
    return analysis.against(reference, part) if analysis else None


def _compared(summary: Summary, line: ReferenceLine) -> str:
    assert summary.sealed is not None
    value = summary.sealed.mean - line.sealed
    side = "above" if value >= 0 else "below"
    spread = "" if line.sealed_sd is None else f" (sd {line.sealed_sd:.3f})"
    text = f"{abs(value):.3f} {side} {line.name}: {line.sealed:.3f}{spread}, {wording.seeds(line.seeds)}"
    found = difference(summary, line.name, "sealed")
    if found is None:
        return text + "."
    return f"{text}; {verdict(found)}."


def verdict(found: Difference) -> str:
    """What the interval says of a difference."""
    text = f"95% interval {signed(found.interval)}"
    if found.interval.low <= 0 <= found.interval.high:
        text += ", so chance alone could make it"
    return text if found.training_known else f"{text}, too narrow: training variance was not measured"


def signed(interval: Interval) -> str:
    """``-0.012 to +0.034``."""
    return f"{interval.low:+.3f} to {interval.high:+.3f}"


def power(summary: Summary) -> list[str]:
    """How small a difference to random this run could have shown."""
    found = difference(summary, "random", "sealed")
    if found is None:
        return []
    total = found.items_sd**2 + found.training_sd**2
    share = found.items_sd**2 / total if total else 0.0
    return [
        f"Minimal detectable difference to random: {found.detectable:.3f}. A run like this one finds a true"
        f" difference of that size four times out of five; {share:.0%} of the uncertainty is the choice of items, the"
        " rest is training."
    ]


def recovered(summary: Summary) -> list[str]:
    """Share of the full-data gain, on sealed and on all items; why there is none where there could be one."""
    analysis = summary.sealed.analysis if summary.sealed else None
    if analysis is None:
        return []
    named = {"sealed": "sealed items", "all": "all items", "public": "public items"}
    found = [
        f"Share of the full-data gain recovered on {named[one.part]}: {one.share:.0%}"
        f" (95% interval {one.interval.low:.0%} to {one.interval.high:.0%})."
        for one in analysis.recovered
    ]
    if not found and {"base", "full"} <= {line.name for line in summary.references}:
        return [
            "Share of the full-data gain: not stated. What the full pool gains over the base model cannot be told"
            " from zero here, and a share of nothing means nothing."
        ]
    return found


def shrinkage(summary: Summary) -> list[str]:
    """How much of the gain that chose the attempt is there on sealed items."""
    analysis = summary.sealed.analysis if summary.sealed else None
    found = analysis.shrinkage if analysis else None
    if found is None:
        return []
    text = (
        f"Shrinkage from public to sealed: {found.shrinkage:+.3f} (95% interval {signed(found.interval)}). The chosen"
        f" attempt was {found.public_gain:+.3f} against random on the public items it was chosen by; trained again,"
        f" it is {found.sealed_gain:+.3f} on sealed items."
    )
    if found.by_chance is not None:
        text += (
            f" Taking the best of as many random selections would show {found.by_chance:+.3f} on public items, and"
            " nothing on sealed ones."
        )
    return [
        text if found.training_known else f"{text} The interval is too narrow: training variance was not measured."
    ]


def unscored(summary: Summary) -> list[str]:
    """Items that got no number, and the score without the benchmarks that a judge grades."""
    return list(_unscored(summary))


def _unscored(summary: Summary) -> Iterator[str]:
    if summary.sealed is None:
        return
    both = summary.sealed.all_items
    if both.without_judge is not None:
        text = (
            f"Without the benchmarks that a judge grades: {summary.sealed.without_judge:.3f} on sealed items,"
            f" {both.without_judge:.3f} on all"
        )
        found = _unjudged(summary, "random")
        if found is not None:
            text += f"; {found.difference:+.3f} against random on sealed items, {verdict(found)}"
        yield f"{text}."
    if both.unscored_answer or both.unscored_judge:
        yield (
            f"Unscored items, of the worst seed: {both.unscored_answer} whose answer could not be read (counted as"
            f" wrong) and {both.unscored_judge} that the judge did not grade readably (left out), of"
            f" {both.n + both.unscored_judge}."
        )


def _sealed_only(summary: Summary) -> list[str]:
    """Benchmarks that no public score has in it."""
    if summary.sealed is None:
        return []
    public = {name for line in summary.attempts if line.public for name in line.public.by_benchmark}
    names = sorted(summary.sealed.by_benchmark.keys() - public)
    if not names or not public:
        return []
    what = "has" if len(names) == 1 else "have"
    return [
        f"{', '.join(names)} {what} no public items: in the means on sealed and on all items only, and not in what"
        " attempts were told. The shrinkage is of the benchmarks that both halves have."
    ]


def _unjudged(summary: Summary, reference: str) -> Difference | None:
    analysis = summary.sealed.analysis if summary.sealed else None
    known = analysis.without_judge if analysis else ()
    return next((one for one in known if (one.reference, one.part) == (reference, "sealed")), None)


def unscored_of(line: AttemptLine) -> list[str]:
    """An attempt's items without a number, by half and benchmark."""
    found: list[str] = []
    for half, scores in (("public", line.public), ("sealed", line.sealed)):
        for name, counts in (scores.unscored if scores else {}).items():
            found.append(
                f"{name}, {half}: {counts.answer} unscored because the answer could not be read (counted as wrong),"
                f" {counts.judge} because the judge could not (left out)."
            )
    return found


def everything(summary: Summary) -> list[str]:
    """The sentences that follow the comparisons."""
    return [
        *failures(summary),
        *_without_intervals(summary),
        *_fewer_rows(summary),
        *recovered(summary),
        *power(summary),
        *shrinkage(summary),
        *unscored(summary),
        *_sealed_only(summary),
        *_provenance(summary),
    ]


def failures(summary: Summary) -> list[str]:
    """What went wrong on the harness's side or the provider's: each failure once, in its own words."""
    found: dict[str, list[int]] = {}
    for line in summary.attempts:
        if line.failure is not None:
            found.setdefault(line.failure, []).append(line.n)
    told = [
        f"Failure of the harness, not of the agent, in attempt {', '.join(map(str, attempts))}: {failure}"
        for failure, attempts in found.items()
    ]
    if summary.model_failures:
        failed = sum(one.count for one in summary.model_failures)
        ends = ", ".join(
            f"{one.count} {_ENDS.get(one.outcome, one.outcome)} (HTTP {one.status})" for one in summary.model_failures
        )
        told.append(f"{failed} of {summary.model_requests} requests to the model got no good reply: {ends}.")
    return told


_ENDS: Final = {
    "ok": "refused by the provider",
    "provider-error": "failed at the provider",
    "cut": "cut off by the provider",
    "client-gone": "hung up by the agent",
    "ours": "failed in the gateway",
}


def _without_intervals(summary: Summary) -> list[str]:
    if summary.sealed is None or not summary.references or summary.sealed.analysis is not None:
        return []
    return [
        "The differences have no intervals: the references' table does not hold what each of the same items came to."
        f" `harness references {summary.task}` measures one that does."
    ]


def _fewer_rows(summary: Summary) -> list[str]:
    """Random references have as many rows as are allowed; a submission may have fewer."""
    sealed = summary.sealed
    random = next((line for line in summary.references if line.name == "random"), None)
    chosen = next((line for line in summary.attempts if sealed and line.n == sealed.attempt), None)
    if random is None or chosen is None or chosen.rows >= random.rows:
        return []
    return [
        f"The chosen selection has {chosen.rows:,} rows, each random reference {random.rows:,}: a difference between"
        " them is that of rows and number of rows together, and of training steps where the recipe counts epochs."
    ]


def _provenance(summary: Summary) -> list[str]:
    found = [wording.origin(summary.references_from)] if summary.references_from else []
    return found + (wording.measured_noise(summary.noise) if summary.noise else [])


def all_items(summary: Summary) -> list[tuple[str, float, float | None, str]]:
    """Scores on all items, the best first: what, score, its error, and what kind of error or whose score it is."""
    if summary.sealed is None:
        return []
    rows: list[tuple[str, float, float | None, str]] = []
    rows.append(("this run", summary.sealed.all_items.mean, summary.sealed.all_items.stderr, "± standard error"))
    rows += [
        (line.name, line.all_items, line.all_items_sd, "1 seed" if line.all_items_sd is None else "± sd over seeds")
        for line in summary.references
    ]
    rows += [(one.name, one.score, None, f"published by others: {one.source}") for one in summary.published]
    return sorted(rows, key=lambda row: -row[1])
