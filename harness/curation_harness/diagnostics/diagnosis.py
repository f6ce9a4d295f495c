"""A run's diagnosis: every attempt with its features, label and flags, and what they come to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

from curation_harness.diagnostics import summary
from curation_harness.diagnostics.features import Features, attempts_before, features
from curation_harness.diagnostics.flags import effective, grounded, shallow
from curation_harness.diagnostics.handed_in import Spent
from curation_harness.diagnostics.judgement import Flag, Labelled
from curation_harness.diagnostics.summary import AttemptFacts, RunSummary
from curation_harness.diagnostics.tries import Outcome, RunView, Try
from curation_harness.record.entry import Entry
from curation_harness.record.mix import counts

Labeller = Callable[[Try, Sequence[Try]], Labelled]
"""Labels a try, given all tries before it, refused and failed ones included."""


class Diagnosed(Entry):
    """One try; refused and failed ones, and those without a score yet, have no label."""

    name: str
    """``attempt 3`` or ``refusal 1``."""
    n: int | None
    refusal: int | None
    outcome: Outcome
    note: str
    problems: tuple[str, ...]
    features: Features
    labelled: Labelled | None
    grounded: Flag
    shallow: Flag
    effective: Flag
    agent_seconds: float
    host_seconds: float
    dollars: float
    tokens: int


class RunDiagnosis(Entry):
    run_id: str
    task: str
    agent: str
    model: str | None
    scaffold: str
    status: str
    tries: tuple[Diagnosed, ...]
    """In order, refused ones among them."""
    summary: RunSummary
    noise_floor: float | None
    expected_maximum: tuple[float, ...]
    """Of as many random selections as attempts were scored until then, attempt by attempt."""
    random_draws: int
    """Measured random selections behind that."""
    sealed: float | None
    sealed_stderr: float | None
    pool_mix: dict[str, int] | None
    """Pool rows by source; none where the pool is not on this machine."""
    overlaps: tuple[tuple[float, ...], ...]
    """Jaccard index of the rows of each two attempts, in order."""
    agent_seconds: float
    """Of the whole run, as the next three: what came after the last try, and what failed attempts took, included."""
    host_seconds: float
    """Training and scoring attempts; the headline is not in it."""
    dollars: float
    tokens: int
    mean_of: dict[Literal["public", "sealed"], str] = {}
    """What the mean over a half's benchmarks is called; empty in records that do not say."""

    @property
    def attempts(self) -> tuple[Diagnosed, ...]:
        return tuple(one for one in self.tries if one.n is not None)


def diagnose(view: RunView, label: Labeller) -> RunDiagnosis:
    """Diagnose a run. The same view gives the same diagnosis."""
    tries = tuple(_diagnosed(view, one, label) for one in view.tries)
    facts = [_facts(one) for one in tries]
    accepted = [one for one in view.tries if one.n is not None]
    whole = functools.reduce(Spent.plus, (one.spent for one in view.tries), view.afterwards)
    return RunDiagnosis(
        run_id=view.run_id,
        task=view.task,
        agent=view.agent,
        model=view.model,
        scaffold=view.scaffold,
        status=view.status,
        tries=tries,
        summary=summary.summarize(facts, view.expected_maximum),
        noise_floor=view.noise_floor,
        expected_maximum=view.expected_maximum,
        random_draws=view.random_draws,
        sealed=view.sealed,
        sealed_stderr=view.sealed_stderr,
        pool_mix=counts(view.sources) if len(view.sources) else None,
        overlaps=tuple(tuple(summary.shared_rows(one, other) for other in accepted) for one in accepted),
        agent_seconds=whole.agent_seconds,
        host_seconds=whole.host_seconds,
        dollars=whole.dollars,
        tokens=whole.tokens,
        mean_of=dict(view.mean_of),
    )


def _diagnosed(view: RunView, one: Try, label: Labeller) -> Diagnosed:
    measured = features(view, one)
    before = view.tries[: one.place]
    judged = label(one, before) if one.outcome == "scored" else None
    nothing = Flag(value=None, evidence=("no label",))
    return Diagnosed(
        name=one.name,
        n=one.n,
        refusal=one.refusal,
        outcome=one.outcome,
        note=one.note,
        problems=one.problems,
        features=measured,
        labelled=judged,
        grounded=grounded(one, attempts_before(view.tries, one)) if judged else nothing,
        shallow=shallow(judged) if judged else nothing,
        effective=effective(measured, view.noise_floor) if judged else nothing,
        agent_seconds=one.spent.agent_seconds,
        host_seconds=one.spent.host_seconds,
        dollars=one.spent.dollars,
        tokens=one.spent.tokens,
    )


def _facts(one: Diagnosed) -> AttemptFacts:
    return AttemptFacts(
        outcome=one.outcome,
        label=one.labelled.label if one.labelled else None,
        grounded=one.grounded.value,
        shallow=one.shallow.value,
        effective=one.effective.value,
        mean=one.features.mean,
        gain=one.features.gain,
        agent_seconds=one.agent_seconds,
        host_seconds=one.host_seconds,
        dollars=one.dollars,
        tokens=one.tokens,
    )
