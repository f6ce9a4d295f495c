"""A run in one object: what ``harness show --json`` prints and what the report's tables are made of."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from curation_harness.record.entry import Entry
from curation_harness.record.measures import Analysis, Noise, Scores, SealedScore
from curation_harness.record.models import AttemptResult, Origin, ReferenceArm, ReferenceTable, RunStatus, Truth
from curation_harness.record.scores import expected_maximum, noise_floor
from curation_harness.record.sealing import root
from curation_harness.record.state import best, ledger, status
from curation_harness.record.store import RunRecord
from curation_plugins.config import AuditCounts, Published
from curation_sandbox.protocol import Budget


class AttemptLine(Entry):
    n: int
    kind: str
    """Submission kind, e.g. ``rows``."""
    status: str
    """``scored``, ``failed`` (the harness failed), or ``pending``."""
    rows: int
    note: str
    digest: str
    public: Scores | None
    sealed: Scores | None
    truth: Truth | None
    seconds: float | None
    failure: str | None
    best: bool
    """Whether it is the best attempt by public score."""


class SealedLine(SealedScore):
    attempt: int
    """The attempt that was trained again."""
    share_of_full_gain: float | None
    share_interval: tuple[float, float] | None
    analysis: Analysis | None
    """Against the references."""
    all_items: SealedScore


class ReferenceLine(Entry):
    name: str
    seeds: int
    rows: int
    """Of one seed's selection; the most of any seed."""
    public: float
    """Mean over seeds."""
    public_sd: float | None
    sealed: float
    sealed_sd: float | None
    all_items: float
    all_items_sd: float | None


class RandomSearch(Entry):
    """What the best of k random selections would be expected to reach, beside the agent's best so far."""

    draws: int
    """Random references behind it."""
    best_so_far: tuple[float | None, ...]
    """After attempt 1, 2 …"""
    expected_maximum: tuple[float, ...]
    """Of as many random selections as attempts were scored until then."""


class ModelFailure(Entry):
    """Requests to the model that got no good reply, alike in how they ended."""

    outcome: str
    """As in ``model/exchanges.jsonl``."""
    status: int
    """HTTP status of the reply."""
    count: int


class Summary(Entry):
    run_id: str
    status: RunStatus
    created: str
    task: str
    agent: str
    model: str | None
    """``PROVIDER/NAME`` of the model behind the gateway."""
    model_requests: int
    """That went to the provider."""
    model_failures: tuple[ModelFailure, ...]
    """The most frequent first."""
    scaffold: str
    seed: int
    attempts: tuple[AttemptLine, ...]
    mean_of: dict[Literal["public", "sealed"], str] = {}
    """What the mean over a half's benchmarks is called; empty in records that do not say."""
    refusals: int
    sealed: SealedLine | None
    """The headline: the best attempt, trained with fresh seeds, on items the agent never saw."""
    references: tuple[ReferenceLine, ...]
    noise_floor: float | None
    noise: Noise | None
    """As `harness noise` measured it."""
    references_from: Origin | None
    """Where imported references come from."""
    published: tuple[Published, ...]
    """What others published for this task."""
    audit: AuditCounts | None
    """Rows of the pool that hold benchmark items."""
    random_search: RandomSearch | None
    """None with fewer than five random references."""
    ledger: tuple[Budget, ...]
    image_digest: str
    folder: str
    root: str | None
    """Root digest of the record; none: it is not sealed, for the run is not over or of an older version."""


MIN_RANDOM_DRAWS = 5


def summarize(record: RunRecord) -> Summary:
    """Everything a reader of a run wants first, from its record alone."""
    spec = record.spec
    results = {result.n: result for result in record.results()}
    winner = best(tuple(results.values()))
    lines = tuple(
        _attempt_line(
            submission.n,
            spec.task.submission.kind,
            submission.rows,
            submission.note,
            submission.digest,
            results.get(submission.n),
            winner,
        )
        for submission in record.submissions()
    )
    table = record.references()
    return Summary(
        run_id=spec.run_id,
        status=status(record),
        created=spec.created,
        task=spec.task.name,
        agent=spec.agent.name,
        model=f"{spec.model.provider}/{spec.model.name}" if spec.model else None,
        model_requests=len(record.events.of("model-call")),
        model_failures=_model_failures(record),
        scaffold=spec.scaffold.name,
        seed=spec.seeds.run,
        attempts=lines,
        mean_of=spec.scoring.mean_of if spec.scoring else {},
        refusals=len(record.refusals()),
        sealed=_sealed_line(record),
        references=tuple(reference_line(arm) for arm in table.arms) if table else (),
        noise_floor=floor(table),
        noise=table.noise if table else None,
        references_from=table.origin if table else None,
        published=spec.published,
        audit=spec.audit,
        random_search=_random_search(table, lines),
        ledger=ledger(record).budgets(record),
        image_digest=spec.image.digest,
        folder=str(record.folder),
        root=root(record.folder),
    )


def _model_failures(record: RunRecord) -> tuple[ModelFailure, ...]:
    ends = Counter((event.data["outcome"], event.data["status"]) for event in record.events.of("model-call"))
    return tuple(
        ModelFailure(outcome=outcome, status=status, count=count)
        for (outcome, status), count in ends.most_common()
        if outcome != "ok" or status >= 400
    )


def floor(table: ReferenceTable | None) -> float | None:
    """The noise floor of public scores, from what ``harness noise`` measured or the ``random-fixed`` reference."""
    if table is not None and table.noise is not None:
        return noise_floor(table.noise.train["public"].values)
    arm = table.arm("random-fixed") if table else None
    return noise_floor([seed.public.mean for seed in arm.seeds]) if arm else None


def reference_line(arm: ReferenceArm) -> ReferenceLine:
    public = _mean_sd([seed.public.mean for seed in arm.seeds])
    sealed = _mean_sd([seed.sealed.mean for seed in arm.seeds])
    both = _mean_sd([seed.all_items.mean for seed in arm.seeds])
    return ReferenceLine(
        name=arm.name,
        seeds=len(arm.seeds),
        rows=max(seed.rows for seed in arm.seeds),
        public=public[0],
        public_sd=public[1],
        sealed=sealed[0],
        sealed_sd=sealed[1],
        all_items=both[0],
        all_items_sd=both[1],
    )


def _mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _attempt_line(
    n: int,
    kind: str,
    rows: int,
    note: str,
    digest: str,
    result: AttemptResult | None,
    winner: AttemptResult | None,
) -> AttemptLine:
    return AttemptLine(
        n=n,
        kind=kind,
        status=result.status if result else "pending",
        rows=rows,
        note=note,
        digest=digest,
        public=result.public if result else None,
        sealed=result.sealed if result else None,
        truth=result.truth if result else None,
        seconds=result.timings.total if result and result.timings else None,
        failure=result.failure if result else None,
        best=winner is not None and winner.n == n,
    )


def _sealed_line(record: RunRecord) -> SealedLine | None:
    headline = record.headline()
    if headline is None:
        return None
    analysis = headline.analysis
    share = next((r for r in analysis.recovered if r.part == "sealed"), None) if analysis else None
    return SealedLine(
        **headline.sealed.model_dump(),
        attempt=headline.attempt,
        share_of_full_gain=share.share if share else None,
        share_interval=(share.interval.low, share.interval.high) if share else None,
        analysis=analysis,
        all_items=headline.all_items,
    )


def _random_search(table: ReferenceTable | None, lines: tuple[AttemptLine, ...]) -> RandomSearch | None:
    arm = table.arm("random") if table else None
    if arm is None or len(arm.seeds) < MIN_RANDOM_DRAWS or not lines:
        return None
    draws = [seed.public.mean for seed in arm.seeds]
    running: float | None = None
    so_far: list[float | None] = []
    for line in lines:
        if line.public is not None:
            running = line.public.mean if running is None else max(running, line.public.mean)
        so_far.append(running)
    return RandomSearch(
        draws=len(draws),
        best_so_far=tuple(so_far),
        expected_maximum=tuple(
            expected_maximum(draws, max(1, sum(line.public is not None for line in lines[:k])))
            for k in range(1, len(lines) + 1)
        ),
    )
