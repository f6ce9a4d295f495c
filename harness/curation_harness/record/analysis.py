"""The headline against the references: differences, share of the full-data gain, shrinkage."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from curation_harness.record.bootstrap import DRAWS, SEED, Measured, Resampled, resample
from curation_harness.record.contrasts import Contrasts, Side, sides, training_of
from curation_harness.record.measures import Analysis, Difference, Part, Recovered, Shrinkage, Sums
from curation_harness.record.scores import expected_maximum
from curation_harness.record.sums import Halves, same_items, shorten, unpack, whole
from curation_harness.record.tallies import Tallies

HEADLINE, ATTEMPT = "(headline)", "(attempt)"
"""Names beside those of references, which have no parentheses."""
BASE, FULL, RANDOM, FIXED = "base", "full", "random", "random-fixed"
PARTS: tuple[Part, ...] = ("public", "sealed", "all")


def analyse(
    headline: Sequence[Halves],
    attempt: Tallies | None,
    attempts: int,
    table: Sums | None,
    draws: int = DRAWS,
    graded: Collection[str] = (),
) -> Analysis | None:
    """Compare a headline with the references.

    Args:
        headline: tallies of the chosen selection under each fresh seed.
        attempt: public tallies of the attempt it was chosen as.
        attempts: how many attempts it was chosen from.
        graded: benchmarks whose scores are a judge's opinion.

    Returns:
        None without references, or if theirs are other items.
    """
    if table is None or not table.values:
        return None
    references = unpack(table, headline[0]["sealed"].worst)
    own: list[Halves] = [{half: shorten(tallies) for half, tallies in halves.items()} for halves in headline]
    if not all(same_items(halves, known) for halves in own for seeds in references.values() for known in seeds):
        return None
    arms: dict[str, Sequence[Halves]] = {**references, HEADLINE: own}
    chosen = attempt is not None and RANDOM in references
    drawn = {part: _resampled(part, arms, attempt, draws) for part in PARTS}
    contrasts = {part: _contrasts(found) for part, found in drawn.items()}
    return Analysis(
        draws=draws,
        seed=SEED,
        groups=drawn["all"].groups,
        differences=tuple(
            _difference(contrasts[part], name, part) for name in references for part in ("sealed", "all", "public")
        ),
        without_judge=_without_judge(arms, list(references), graded, draws),
        recovered=tuple(
            found for part in ("sealed", "all") if (found := _recovered(contrasts[part], references, part))
        ),
        shrinkage=_shrinkage(drawn["public"], _as_public(arms, drawn["sealed"], draws), attempts) if chosen else None,
    )


def _without_judge(
    arms: Mapping[str, Sequence[Halves]], references: Sequence[str], graded: Collection[str], draws: int
) -> tuple[Difference, ...]:
    """Differences over the benchmarks that no judge grades; none where that is all of them, or none."""
    bare = {
        name: [{half: _leaving_out(graded, tallies) for half, tallies in halves.items()} for halves in seeds]
        for name, seeds in arms.items()
    }
    left, all_of_them = (len(known[HEADLINE][0]["sealed"].cells) for known in (bare, arms))
    if not 0 < left < all_of_them:
        return ()
    contrasts = {part: _contrasts(_resampled(part, bare, None, draws)) for part in PARTS if part != "public"}
    return tuple(_difference(found, name, part) for name in references for part, found in contrasts.items())


def _leaving_out(names: Collection[str], tallies: Tallies) -> Tallies:
    return Tallies({name: metrics for name, metrics in tallies.cells.items() if name not in names}, tallies.worst)


def _as_public(arms: Mapping[str, Sequence[Halves]], sealed: Resampled, draws: int) -> Resampled:
    """The sealed half over the benchmarks that have public items, too: a gain is compared with the same gain."""
    own = arms[HEADLINE][0]
    sealed_only = own["sealed"].cells.keys() - own["public"].cells.keys()
    if not sealed_only:
        return sealed
    left = {
        name: [{**halves, "sealed": _leaving_out(sealed_only, halves["sealed"])} for halves in seeds]
        for name, seeds in arms.items()
    }
    return _resampled("sealed", left, None, draws)


def _resampled(part: Part, arms: Mapping[str, Sequence[Halves]], attempt: Tallies | None, draws: int) -> Resampled:
    tallies = {
        name: [whole(halves) if part == "all" else halves[part] for halves in seeds] for name, seeds in arms.items()
    }
    if part == "public" and attempt is not None:
        tallies[ATTEMPT] = [shorten(attempt)]
    return resample(tallies, draws, SEED + PARTS.index(part))  # other draws for each half: they are independent


def _contrasts(found: Resampled) -> Contrasts:
    measured = found.measured
    fixed = measured.get(FIXED)
    fallback = (training_of(fixed) if fixed else None) or training_of(measured[HEADLINE])
    return Contrasts(sides(measured, [BASE], fallback), found.groups)


def _difference(contrasts: Contrasts, reference: str, part: Part) -> Difference:
    found = contrasts.estimate({HEADLINE: 1.0, reference: -1.0})
    return Difference(
        reference=reference,
        part=part,
        difference=found.value,
        interval=found.interval,
        stderr=found.stderr,
        items_sd=found.items_sd,
        training_sd=found.training_sd,
        freedom=found.freedom,
        detectable=found.detectable,
        training_known=found.training_known,
    )


def _recovered(contrasts: Contrasts, references: Mapping[str, object], part: Part) -> Recovered | None:
    if BASE not in references or FULL not in references:
        return None
    found = contrasts.ratio({HEADLINE: 1.0, BASE: -1.0}, {FULL: 1.0, BASE: -1.0})
    return Recovered(part=part, share=found[0], interval=found[1]) if found else None


def _shrinkage(public: Resampled, sealed: Resampled, attempts: int) -> Shrinkage:
    """(attempt − random) on public items − (headline − random) on sealed ones.

    Random is the same trained models on both halves, so its seeds' differences between the halves count: what a
    seed is better or worse on both cancels, as does what makes one half harder than the other.
    """
    open_, closed = public.measured, sealed.measured
    between: Measured = open_[RANDOM].minus(closed[RANDOM])
    fixed = open_.get(FIXED)
    fallback = (training_of(fixed) if fixed else None) or training_of(open_[HEADLINE])
    found = Contrasts(
        {
            ATTEMPT: Side(open_[ATTEMPT], fallback),
            HEADLINE: Side(closed[HEADLINE], training_of(closed[HEADLINE]) or fallback),
            RANDOM: Side(between, training_of(between) or fallback),
        },
        public.groups + sealed.groups,
    ).estimate({ATTEMPT: 1.0, HEADLINE: -1.0, RANDOM: -1.0})
    random = [float(point) for point in open_[RANDOM].point]
    mean = float(open_[RANDOM].point.mean())
    return Shrinkage(
        public_gain=float(open_[ATTEMPT].point[0]) - mean,
        sealed_gain=float(closed[HEADLINE].point.mean() - closed[RANDOM].point.mean()),
        shrinkage=found.value,
        interval=found.interval,
        by_chance=expected_maximum(random, attempts) - mean if len(random) > 1 else None,
        training_known=found.training_known,
    )
