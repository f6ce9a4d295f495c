"""From an accepted submission to its written result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from curation_harness.attempts import feedback
from curation_harness.attempts.checkpoints import KeptModels
from curation_harness.attempts.trial import Trial, TrialRunner
from curation_harness.record.measures import Scores
from curation_harness.record.models import AttemptResult, Timings, Truth
from curation_harness.record.scheme import ITEM_FILES
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_plugins.api import Progress
from curation_plugins.errors import WorkAbandoned, WorkerDiskFull, WorkFailed
from curation_plugins.selection import Selection, read_canonical
from curation_sandbox.protocol import AttemptState, Feedback

DEATHS: Final = 3
"""An attempt during which the process of the harness died this often is not begun again: its rows may be what kills
it."""


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
        """Train, score and record attempt ``n``; a failure of ours is recorded as ours and refunded.

        Raises:
            WorkerDiskFull: it stays unfinished; no attempt can come to its end before there is room.
        """
        if self.stopping():
            return
        record = self.record
        if deaths(record, n) >= DEATHS:
            self._failed(
                n, WorkAbandoned(f"attempt {n} ended the harness {DEATHS} times: it died, or the disk was full")
            )
            return
        record.events.append("attempt-started", n=n)
        self.state(n, "training")
        began = time.monotonic()
        folder = record.attempt_folder(n)
        try:
            selection, seed = record.selection_file(n), record.spec.seeds.attempt
            kept = self.checkpoints.place(n)
            trial = self.trials.run(selection, seed, folder, self._progress(n), keep=kept)
        except WorkerDiskFull as error:
            record.events.append("worker", what="disk-full", failure=str(error)[:500])
            raise
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
        handed_in = {"submission.json", record.selection_file(n).name}
        for entry in record.attempt_folder(n).iterdir():
            if entry.is_file() and entry.name not in handed_in:
                entry.unlink()  # of the half that was scored before it failed
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
        scoring = self.record.spec.scoring
        mean_of = scoring.mean_of["public"] if scoring else ""
        return feedback.compose(n, public, earlier, self.record.references(), rules, mean_of)

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
        for name in ITEM_FILES:
            file = self.recorded.attempt_folder(n) / name
            if file.exists():
                shutil.copyfile(file, self.record.attempt_folder(n) / name)
        self.record.write_result(result)
        if result.public is not None:
            self.record.events.append("attempt-scored", n=n, mean=result.public.mean)
        else:
            failure = (result.failure or "failed").split(":")[0]
            self.record.events.append("attempt-failed", n=n, failure=failure, refunded=result.refunded)
        self.state(n, result.status)


def deaths(record: RunRecord, n: int) -> int:
    """How often attempt ``n`` has ended the process of the harness: it was begun, and then another process went on
    without anybody's wish, or there was no room on the disk for it."""
    died, begun = 0, False
    for event in record.events.of("attempt-started", "interrupted", "worker", "resumed"):
        if event.kind == "attempt-started":
            begun = event.data["n"] == n
        elif event.kind == "resumed" or (event.kind == "worker" and event.data["what"] == "disk-full"):
            died += begun
            begun = False
        elif event.kind == "interrupted":
            begun = False
    return died


def against_truth(selection: Selection, good: Sequence[bool] | np.ndarray, rows_max: int) -> Truth:
    """Precision and recall of a selection against planted truth."""
    flags = np.asarray(good, bool)
    hits = int(np.count_nonzero(flags[np.frombuffer(selection.rows, np.int64)]))
    reachable = min(int(np.count_nonzero(flags)), rows_max)
    return Truth(
        precision=hits / len(selection.rows) if selection.rows else 0.0,
        recall=hits / reachable if reachable else 0.0,
    )
