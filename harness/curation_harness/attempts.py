"""From an accepted submission to its written result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from curation_harness import feedback
from curation_harness.checkpoints import KeptModels
from curation_harness.record.measures import Scores
from curation_harness.record.models import AttemptResult, Timings, Truth
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.trial import Trial, TrialRunner
from curation_plugins.api import Progress
from curation_plugins.errors import WorkFailed
from curation_plugins.selection import Selection, read_canonical
from curation_sandbox.protocol import AttemptState, Feedback


class Attempts(Protocol):
    """What brings accepted attempts to their results."""

    def run(self, n: int) -> None:
        """Bring attempt ``n`` to its written result."""


@dataclass(frozen=True)
class AttemptRunner:
    """Executes attempts of one run. The result is on disk before anybody is told of it."""

    record: RunRecord
    trials: TrialRunner
    progress: Progress
    stopping: Callable[[], bool]
    """Whether the run is being ended: a failure is then no failure, and the attempt stays unfinished."""
    state: Callable[[int, AttemptState], None]
    """Told when an attempt enters another state."""

    @property
    def checkpoints(self) -> KeptModels:
        return KeptModels(self.record)

    def run(self, n: int) -> None:
        """Train, score and record attempt ``n``; a failure of ours is recorded as ours and refunded."""
        if self.stopping():
            return
        record = self.record
        record.events.append("attempt-started", n=n)
        self.state(n, "training")
        began = time.monotonic()
        folder = record.attempt_folder(n)
        try:
            selection, seed = record.selection_file(n), record.spec.seeds.attempt
            kept = self.checkpoints.place(n)
            trial = self.trials.run(selection, seed, folder, self._progress(n), keep=kept)
        except WorkFailed as error:
            if not self.stopping():
                self._failed(n, error)
            return
        self._scored(n, trial, time.monotonic() - began)
        self.checkpoints.settle()

    def _progress(self, n: int) -> Progress:
        def tell(what: str, done: float) -> None:
            self.state(n, "evaluating" if what.startswith("scoring") else "training")
            self.progress(f"attempt {n}: {what}", done)

        return tell

    def _scored(self, n: int, trial: Trial, seconds: float) -> None:
        record = self.record
        result = AttemptResult(
            n=n,
            status="scored",
            seed=record.spec.seeds.attempt,
            public=trial.public,
            sealed=trial.sealed,
            truth=self._truth(n),
            train=trial.train,
            model_digest=trial.model_digest,
            slot=self.trials.session.slot(),
            timings=Timings(train=trial.train_seconds, evaluate=trial.evaluate_seconds, total=seconds),
            feedback=self._feedback(n, trial.public),
        )
        record.write_result(result)
        record.events.append("attempt-scored", n=n, mean=trial.public.mean)
        self.state(n, "scored")

    def _failed(self, n: int, error: WorkFailed) -> None:
        record = self.record
        refund = ledger(record).refunded < record.spec.task.budgets.refunds
        failure = f"{type(error).__name__}: {error}"
        record.write_result(
            AttemptResult(
                n=n,
                status="failed",
                seed=record.spec.seeds.attempt,
                failure=failure,
                refunded=refund,
            )
        )
        record.events.append("attempt-failed", n=n, failure=type(error).__name__, refunded=refund)
        self.state(n, "failed")

    def _feedback(self, n: int, public: Scores) -> Feedback:
        earlier = [
            (result.n, result.public.mean)
            for result in self.record.results()
            if result.public is not None and result.n != n
        ]
        rules = self.record.spec.task.feedback
        return feedback.compose(n, public, earlier, self.record.references(), rules)

    def _truth(self, n: int) -> Truth | None:
        good = self.trials.task.truth(self.trials.assets)
        if good is None:
            return None
        selection = read_canonical(self.record.selection_file(n))
        return against_truth(selection, good, self.record.spec.task.submission.rows_max)


@dataclass(frozen=True)
class RecordedAttempts:
    """Gives attempt n of a replay what attempt n of the recorded run got."""

    record: RunRecord
    """The replay's own."""
    recorded: RunRecord
    state: Callable[[int, AttemptState], None]

    def run(self, n: int) -> None:
        """Write the recorded result as this run's; where the recorded run has no such attempt, a failure of ours."""
        self.record.events.append("attempt-started", n=n)
        result = self.recorded.result(n)
        if result is None:
            failure = "the recorded run has no result of this attempt"
            result = AttemptResult(n=n, status="failed", seed=self.record.spec.seeds.attempt, failure=failure)
        for name in ("items-public.jsonl", "items-sealed.jsonl"):
            items = self.recorded.attempt_folder(n) / name
            if items.exists():
                shutil.copyfile(items, self.record.attempt_folder(n) / name)
        self.record.write_result(result)
        if result.public is not None:
            self.record.events.append("attempt-scored", n=n, mean=result.public.mean)
        else:
            failure = (result.failure or "failed").split(":")[0]
            self.record.events.append("attempt-failed", n=n, failure=failure, refunded=result.refunded)
        self.state(n, result.status)


def against_truth(selection: Selection, good: Sequence[bool] | np.ndarray, rows_max: int) -> Truth:
    """Precision and recall of a selection against planted truth."""
    flags = np.asarray(good, bool)
    hits = int(np.count_nonzero(flags[np.frombuffer(selection.rows, np.int64)]))
    reachable = min(int(np.count_nonzero(flags)), rows_max)
    return Truth(
        precision=hits / len(selection.rows) if selection.rows else 0.0,
        recall=hits / reachable if reachable else 0.0,
    )
