"""Stages of two runs, or of a run and its rerun, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.record.measures import Scores
from curation_harness.record.models import AttemptSubmission, Refusal
from curation_harness.record.scheme import item_files
from curation_harness.record.store import RunRecord
from curation_harness.record.sums import HALVES, Half
from curation_harness.replay import normalise
from curation_harness.replay.compare import NOT_SHOWN, Difference, compare
from curation_harness.rerun.stages import Stage, Verdict
from curation_plugins.selection import read_canonical

ROWS = "share of rows that only one of the two has"
REQUESTS = "share of requests that are another one"
REFUSED = "number of refusals that are other ones"
MEANS = "the larger change of its attempt's two means"
MEAN = "change of the mean"
HEADLINE = "change of the sealed mean over the seeds"


@dataclass(frozen=True)
class Scored:
    """One training and what it scored, with its item results on disk."""

    folder: Path
    model_digest: str | None
    public: Scores
    sealed: Scores

    def scores(self, half: Half) -> Scores:
        return self.public if half == "public" else self.sealed


def trained(n: int, then: Scored, now: Scored, epsilon: float, *, part: str = "", why: tuple[str, ...] = ()) -> Stage:
    """Whether the same model came out; by what it scores where its bytes are others."""
    value = max(_change(then, now, half) for half in HALVES)
    unknown = then.model_digest is None or now.model_digest is None  # not noted: judged by its scores alone
    same = value == 0 if unknown else then.model_digest == now.model_digest
    return Stage(
        kind="training",
        n=n,
        part=part,
        verdict=_verdict(same, value, epsilon),
        measure=MEANS,
        value=value,
        epsilon=epsilon,
        detail="" if same else "another model",
        why=why,
    )


def scored(n: int, half: Half, then: Scored, now: Scored, epsilon: float) -> Stage:
    value = _change(then, now, half)
    other = [name for name in item_files(half) if not _same_file(then.folder / name, now.folder / name)]
    before, after = then.scores(half).mean, now.scores(half).mean
    return Stage(
        kind="scores",
        n=n,
        part=half,
        verdict=_verdict(not other, value, epsilon),
        measure=MEAN,
        value=value,
        epsilon=epsilon,
        detail=f"{before:.4f} → {after:.4f}" + (f"; {_lines(then, now, other)}" if other else ""),
    )


def headline(
    attempt: tuple[int, int], then: Sequence[Scored], now: Sequence[Scored], epsilon: float, *, part: str = ""
) -> Stage:
    """The headline of the same seeds.

    Args:
        attempt: the best one, then and now.
    """
    means = [float(np.mean([one.sealed.mean for one in seeds])) for seeds in (then, now)]
    value = abs(means[1] - means[0])
    pairs = list(zip(then, now, strict=True))
    same = attempt[0] == attempt[1] and all(_equal(one, other) for one, other in pairs)
    best = f"; attempt {attempt[1]} is the best now, attempt {attempt[0]} was" if attempt[0] != attempt[1] else ""
    verdict = "differs" if best else _verdict(same, value, epsilon)
    return Stage(
        kind="headline",
        part=part,
        verdict=verdict,
        measure=HEADLINE,
        value=value,
        epsilon=epsilon,
        detail=f"{means[0]:.4f} → {means[1]:.4f}{best}",
    )


def handed_in(n: int, then: RunRecord, now: RunRecord) -> Stage:
    one, other = (_submission(record, n) for record in (then, now))
    if one is None or other is None:
        return missing("submission", n, "only then" if other is None else "only now")
    same_rows, same_policy = one.digest == other.digest, one.policy == other.policy
    rows, policy = ("equal" if same else "differ" for same in (same_rows, same_policy))
    return Stage(
        kind="submission",
        n=n,
        verdict="equal" if same_rows and same_policy else "differs",
        measure=ROWS,
        value=0.0 if same_rows else _apart(then.selection_file(n), now.selection_file(n)),
        detail=f"rows {rows}, policy {policy}",
    )


def refused(then: RunRecord, now: RunRecord) -> Stage:
    """What was refused, in order, and with which reasons."""
    before, after = ([_refusal(one) for one in record.refusals()] for record in (then, now))
    others = sum(one != other for one, other in zip_longest(before, after))
    return Stage(
        kind="refusals",
        verdict="differs" if others else "equal",
        measure=REFUSED,
        value=others,
        detail=f"{len(before)} then, {len(after)} now",
    )


def asked(then: RunRecord, now: RunRecord) -> Stage:
    """The model's traffic, request by request in the order in which they were asked; what may differ in a replay may
    differ here.

    Raises:
        RecordInvalid: a recorded body is damaged.
    """
    logs = [ExchangeLog(record.folder) for record in (then, now)]
    before, after = ([entry for entry in _by_time(log) if entry.counted] for log in logs)
    known: set[Difference] = set()
    same = sum(_same_exchange(logs, pair, known) for pair in zip(before, after, strict=False))
    most = max(len(before), len(after))
    return Stage(
        kind="conversation",
        verdict="equal" if same == most else "differs",
        measure=REQUESTS,
        value=1 - same / most if most else 0.0,
        detail=f"{len(before)} requests then, {len(after)} now",
    )


def _refusal(refusal: Refusal) -> tuple[object, ...]:
    """What was refused and why; in words a reason may hold a time."""
    reasons = tuple((problem.code, problem.row) for problem in refusal.problems)
    return refusal.digest, refusal.policy, reasons, refusal.more_problems


def missing(kind: str, n: int | None, detail: str, part: str = "") -> Stage:
    """A stage that one of the two does not have."""
    return Stage.model_validate(
        {"kind": kind, "n": n, "part": part, "verdict": "differs", "measure": "whether it is there", "detail": detail}
    )


def _by_time(log: ExchangeLog) -> list[ExchangeEntry]:
    return sorted(log.entries(), key=lambda entry: entry.id)


def _same_exchange(
    logs: Sequence[ExchangeLog], pair: tuple[ExchangeEntry, ExchangeEntry], known: set[Difference]
) -> bool:
    bodies = [log.body(entry.sent) for log, entry in zip(logs, pair, strict=True) if entry.sent is not None]
    if len(bodies) != 2 or compare(bodies[0], bodies[1], known).kind not in NOT_SHOWN:
        return False
    replies = (log.body(entry.response).decode("utf-8", "replace") for log, entry in zip(logs, pair, strict=True))
    return len({normalise.text(reply) for reply in replies}) == 1


def _submission(record: RunRecord, n: int) -> AttemptSubmission | None:
    return next((submission for submission in record.submissions() if submission.n == n), None)


def _apart(one: Path, other: Path) -> float:
    """Rows that are in one of the two only, as a share of those that are in any; 0 if they are the same in another
    order or with other weights."""
    rows, others = (np.unique(np.frombuffer(read_canonical(path).rows, np.int64)) for path in (one, other))
    common = len(np.intersect1d(rows, others, assume_unique=True))
    total = len(rows) + len(others) - common
    return 1 - common / total if total else 0.0


def _verdict(same: bool, value: float, epsilon: float) -> Verdict:
    return "equal" if same else "within-epsilon" if value <= epsilon else "differs"


def _change(then: Scored, now: Scored, half: Half) -> float:
    return abs(now.scores(half).mean - then.scores(half).mean)


def _equal(then: Scored, now: Scored) -> bool:
    names = (name for half in HALVES for name in item_files(half))
    return then.model_digest == now.model_digest and all(
        _same_file(then.folder / name, now.folder / name) for name in names
    )


def _same_file(one: Path, other: Path) -> bool:
    if not one.exists() or not other.exists():
        return not one.name.startswith("items-")  # older records, and some tasks, keep no predictions
    return one.read_bytes() == other.read_bytes()


def _lines(then: Scored, now: Scored, names: Sequence[str]) -> str:
    """How many lines of the first differing file do."""
    name = names[0]
    if not all((made.folder / name).exists() for made in (then, now)):
        return f"{name} is missing in one"
    before, after = ((made.folder / name).read_bytes().splitlines() for made in (then, now))
    others = sum(one != other for one, other in zip_longest(before, after))
    return f"{others} of {max(len(before), len(after))} lines of {name} differ"
