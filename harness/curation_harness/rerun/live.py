"""``harness rerun RUN --live``: the same spec once more, as a new run, compared with the recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from curation_harness import provenance
from curation_harness.errors import OptionInvalid
from curation_harness.planning import plan as plans
from curation_harness.planning.plan import Plan
from curation_harness.record.events import now
from curation_harness.record.models import RunSpec
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord
from curation_harness.record.sums import HALVES
from curation_harness.rerun import causes, comparing
from curation_harness.rerun.stages import Rerun, Stage, explained, worst
from curation_harness.rerun.submissions import of_attempt, of_headline


def plan_again(record: RunRecord, recorded: Plan, cache: Path) -> Plan:
    """The recorded plan under a new id.

    Args:
        recorded: the run's own plan.
        cache: where the task's files are.
    """
    runs = record.folder.parent
    base = record.spec.run_id[:54]  # an id has at most 63 letters
    run_id = next(made for k in count(1) if not (runs / (made := f"{base}-live-{k}")).exists())
    options = replace(recorded.options, run_id=run_id, runs=runs, cache=cache, overrides=record.spec.overrides)
    return replace(recorded, run_id=run_id, options=options, session=plans.session_of(run_id, options.seed))


def require_same_spec(then: RunSpec, now_: RunSpec) -> None:
    """Two runs that are compared were asked to do the same.

    Raises:
        OptionInvalid: task, agent, model, scaffold, seed or engine is another one; with what each of them is.
    """
    for what, one, other in (
        ("task", then.task, now_.task),
        ("agent", then.agent.name, now_.agent.name),
        ("agent argument", then.agent.agent_arg, now_.agent.agent_arg),
        ("model", then.model and then.model.name, now_.model and now_.model.name),
        ("scaffold", then.scaffold.name, now_.scaffold.name),
        ("seed", then.seeds.run, now_.seeds.run),
        ("engine", then.engine, now_.engine),
    ):
        if one != other:
            told = "has other numbers" if what == "task" else f"is {other!r}, not {one!r}"
            raise OptionInvalid(
                f"run {now_.run_id} is no rerun of {then.run_id}: its {what} {told}",
                hint="`harness rerun RUN --live` launches one.",
            )


def compare(then: RunRecord, now_: RunRecord, epsilon: float) -> Rerun:
    """The verdict on a run that was launched from another one's spec.

    Raises:
        OptionInvalid: the new run has not ended.
    """
    if status(now_) in ("running", "unscored"):
        raise OptionInvalid(
            f"run {now_.spec.run_id} has not ended; there is nothing to compare yet",
            hint=f"`harness resume {now_.spec.run_id}`, then `harness rerun {then.spec.run_id} --live --against"
            f" {now_.spec.run_id}`.",
        )
    found = causes.between(then.spec, now_.spec)
    stages = list(_stages(then, now_, epsilon))
    return Rerun(
        kind="live",
        run_id=then.spec.run_id,
        epsilon=epsilon,
        verdict=worst(stages),
        stages=explained(stages, found),
        causes=found,
        record=now_.spec.run_id,
        code=provenance.code_revision(),
        hardware=provenance.hardware(),
        packages=provenance.packages(),
        made=now(),
    )


def _stages(then: RunRecord, now_: RunRecord, epsilon: float) -> Iterator[Stage]:
    if then.spec.model is not None:
        yield comparing.asked(then, now_)
    numbers = {submission.n for record in (then, now_) for submission in record.submissions()}
    for n in sorted(numbers):
        yield comparing.handed_in(n, then, now_)
        yield from _attempt(n, then, now_, epsilon)
    yield comparing.refused(then, now_)
    yield from _headline(then, now_, epsilon)


def _attempt(n: int, then: RunRecord, now_: RunRecord, epsilon: float) -> Iterator[Stage]:
    one, other = (next((made for made in record.results() if made.n == n), None) for record in (then, now_))
    if one is None or other is None or one.status != other.status:
        before, after = ("nothing" if made is None else made.status for made in (one, other))
        if before != after:
            yield comparing.missing("scores", n, f"{before} then, {after} now")
    elif one.status == "scored":
        pair = of_attempt(then, one), of_attempt(now_, other)
        yield comparing.trained(n, *pair, epsilon, why=causes.of_slot(one.slot, other.slot))
        for half in HALVES:
            yield comparing.scored(n, half, *pair, epsilon)


def _headline(then: RunRecord, now_: RunRecord, epsilon: float) -> Iterator[Stage]:
    one, other = (record.headline() for record in (then, now_))
    if one is None or other is None or len(one.seeds) != len(other.seeds):
        before, after = ("none" if made is None else f"{len(made.seeds)} seeds" for made in (one, other))
        if before != after:
            yield comparing.missing("headline", None, f"{before} then, {after} now")
        return
    pair = of_headline(then, one), of_headline(now_, other)
    yield comparing.headline((one.attempt, other.attempt), *pair, epsilon)
