"""Answers the submit socket for one run: the one place where a request meets the ledger and the record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation_harness.attempts import Attempts
from curation_harness.clock import AgentClock
from curation_harness.record.events import now
from curation_harness.record.models import AttemptResult, AttemptSubmission, Refusal
from curation_harness.record.state import iterations_left, ledger
from curation_harness.record.store import RunRecord
from curation_harness.signals import SignalDesk
from curation_harness.work import HostWork
from curation_plugins import selection as selections
from curation_plugins.api import Scaffold, Task
from curation_plugins.errors import SubmissionRefused
from curation_plugins.selection import Selection
from curation_sandbox.protocol import (
    Accepted,
    AttemptState,
    AttemptView,
    Budget,
    CheckReply,
    Duplicate,
    History,
    Problem,
    Refused,
    SignalView,
    Status,
    SubmitReply,
    SubmitRequest,
    TaskView,
)
from curation_sandbox.submit_server import HandlerError

MAX_DUPLICATES = 100
"""Repetitions of accepted content in a run: each is an event on disk, and a loop of them tells nobody anything."""
QUARANTINE_AFTER = 2
"""Content on which the harness failed this often is not tried again: crashing a trainer is no free retry."""


@dataclass
class RunHandler:
    """The submit server's handler. Called from several threads; ``_lock`` makes submissions one by one."""

    record: RunRecord
    plugin: Task
    scaffold: Scaffold
    assets: Path
    clock: AgentClock
    work: HostWork
    attempts: Attempts
    signals: SignalDesk
    over: Callable[[], bool]
    """Whether the agent's part of the run is over."""
    on_done: Callable[[], None]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._notices: list[str] = []
        self._states: dict[int, AttemptState] = {}
        self._pool_rows = self.plugin.pool_rows(self.assets)
        self._excluded = self.plugin.excluded(self.assets)

    # -- told by the run loop ------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        """Something the agent should know; shown by ``curate status``."""
        self._notices.append(text)

    def attempt_state(self, n: int, state: AttemptState) -> None:
        self._states[n] = state

    # -- SubmitHandler -------------------------------------------------------------------------------

    def task(self) -> TaskView:
        config = self.plugin.config
        return TaskView(
            name=config.name,
            title=config.title,
            brief=self.plugin.brief(),
            rules=self.scaffold.rules(self.plugin),
            kind=config.submission.kind,
            rows_max=config.submission.rows_max,
            pool_rows=self._pool_rows,
            iterations=config.budgets.iterations,
            benchmarks=config.benchmarks,
            signals=self.plugin.signals(),
            seed=self.record.spec.seeds.agent,
        )

    def status(self) -> Status:
        working = self.unfinished()
        return Status(
            run_id=self.record.spec.run_id,
            state="over" if self.over() else "working" if self.work.busy else "open",
            attempt=working,
            budgets=self._budgets(),
            events=tuple(self._notices[-20:]),
        )

    def check(self, data: Path) -> CheckReply:
        try:
            chosen = self._parse(data)
        except SubmissionRefused as refused:
            return CheckReply(ok=False, rows=None, problems=refused.problems, more_problems=refused.more_problems)
        return CheckReply(ok=True, rows=len(chosen.rows), problems=())

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        with self._lock:
            known = self._reply_to(request.key)
            if known is not None:
                return known
            self._open_for_submissions()
            try:
                chosen = self._parse(data)
            except SubmissionRefused as refused:
                return self._refuse(request, refused.problems, refused.more_problems)
            digest = chosen.digest()
            earlier = self._accepted_before(digest)
            if earlier is not None:
                self._cap_duplicates()
                self.record.events.append("duplicate", attempt=earlier, key=request.key)
                return Duplicate(attempt=earlier)
            problems = [*self._quarantine(digest), *self.scaffold.gate(request, policy)]
            if problems:
                return self._refuse(request, problems, 0)
            return self._accept(request, chosen, digest, policy)

    def attempt(self, n: int) -> AttemptView | None:
        for submission in self.record.submissions():
            if submission.n == n:
                return self._view(submission)
        return None

    def history(self) -> History:
        return History(
            attempts=tuple(self._view(submission) for submission in self.record.submissions()),
            refusals=len(self.record.events.of("refused")),
        )

    def signal(self, name: str, rows: Path, attempt: int | None) -> SignalView:
        if self.over():
            raise HandlerError(410, "run-over", "the run is over; nothing more is computed")
        return self.signals.request(name, rows, attempt)

    def signal_view(self, id: str) -> SignalView | None:
        return self.signals.view(id)

    def done(self) -> Status:
        if not self.record.events.of("done"):
            self.record.events.append("done")
        self.on_done()
        return self.status()

    # -- pieces --------------------------------------------------------------------------------------

    def _parse(self, data: Path) -> Selection:
        return selections.parse(data, self.plugin.config.submission, self._pool_rows, self._excluded)

    def _budgets(self) -> tuple[Budget, ...]:
        running = self.clock.spent()
        return tuple(
            budget.model_copy(update={"spent": running}) if budget.name == "agent time" else budget
            for budget in ledger(self.record).budgets(self.record)
        )

    def unfinished(self) -> int | None:
        """The attempt that is queued or under way."""
        finished = {result.n for result in self.record.results()}
        open_ones = [s.n for s in self.record.submissions() if s.n not in finished]
        return open_ones[0] if open_ones else None

    def _reply_to(self, key: str) -> SubmitReply | None:
        """The reply this idempotency key got before, from the record, so that a restart forgets none."""
        for submission in self.record.submissions():
            if submission.key == key:
                return Accepted(attempt=submission.n, rows=submission.rows)
        for refusal in self.record.refusals():
            if refusal.key == key:
                return self._refused(refusal)
        for event in self.record.events.of("duplicate"):
            if event.data["key"] == key:
                return Duplicate(attempt=event.data["attempt"])
        return None

    def _open_for_submissions(self) -> None:
        spent = ledger(self.record)
        limits = self.record.spec.task.budgets
        if self.over():
            raise HandlerError(410, "run-over", "the run is over; no more submissions are taken")
        if self.unfinished() is not None:
            n = self.unfinished()
            raise HandlerError(409, "busy", f"attempt {n} is still running; `curate wait {n}` waits for it")
        if iterations_left(self.record) <= 0:
            raise HandlerError(
                403,
                "budget-spent",
                f"all {limits.iterations} iterations are spent; `curate done` ends the run",
            )
        if spent.refusals >= limits.refusals:
            raise HandlerError(403, "budget-spent", f"{spent.refusals} submissions were refused; no more are taken")

    def _cap_duplicates(self) -> None:
        if len(self.record.events.of("duplicate")) >= MAX_DUPLICATES:
            message = f"accepted content was repeated {MAX_DUPLICATES} times; `curate history` has its scores"
            raise HandlerError(403, "budget-spent", message)

    def _accepted_before(self, digest: str) -> int | None:
        """The attempt with the same content whose result stands; attempts we failed on do not count."""
        for submission in self.record.submissions():
            result = self.record.result(submission.n)
            if submission.digest == digest and (result is None or result.status == "scored"):
                return submission.n
        return None

    def _quarantine(self, digest: str) -> Sequence[Problem]:
        failures = [
            submission.n
            for submission in self.record.submissions()
            if submission.digest == digest and self._failed(self.record.result(submission.n))
        ]
        if len(failures) < QUARANTINE_AFTER:
            return ()
        return (
            Problem(
                code="quarantined",
                message=f"the harness failed on exactly these rows in attempts {failures};"
                " they are not tried again. Submit other rows.",
            ),
        )

    @staticmethod
    def _failed(result: AttemptResult | None) -> bool:
        return result is not None and result.status == "failed"

    def _accept(self, request: SubmitRequest, chosen: Selection, digest: str, policy: Mapping[str, Path]) -> Accepted:
        n = len(self.record.submissions()) + 1
        self.record.write_submission(
            AttemptSubmission(
                n=n,
                key=request.key,
                digest=digest,
                rows=len(chosen.rows),
                note=request.note,
                policy=request.policy,
                accepted=now(),
            ),
            chosen.canonical(),
            policy,
        )
        self.record.events.append("accepted", n=n, digest=digest, rows=len(chosen.rows))
        self._states[n] = "queued"
        self.work.add(lambda: self.attempts.run(n))
        return Accepted(attempt=n, rows=len(chosen.rows))

    def _refuse(self, request: SubmitRequest, problems: Sequence[Problem], more_problems: int) -> Refused:
        refusal = Refusal(
            n=len(self.record.events.of("refused")) + 1,
            key=request.key,
            problems=tuple(problems),
            more_problems=more_problems,
            refused=now(),
        )
        self.record.write_refusal(refusal)
        self.record.events.append("refused", n=refusal.n, codes=sorted({p.code for p in problems}))
        return self._refused(refusal)

    def _refused(self, refusal: Refusal) -> Refused:
        left = self.record.spec.task.budgets.refusals - len(self.record.events.of("refused"))
        return Refused(
            refusal=refusal.n,
            problems=refusal.problems,
            more_problems=refusal.more_problems,
            refusals_left=max(0, left),
        )

    def _view(self, submission: AttemptSubmission) -> AttemptView:
        result = self.record.result(submission.n)
        if result is None:
            state = self._states.get(submission.n, "queued")
            # the result is on disk before the state says so; until then it is still being scored
            return AttemptView(
                n=submission.n,
                state="evaluating" if state in ("scored", "failed") else state,
                rows=submission.rows,
            )
        return AttemptView(
            n=submission.n,
            state=result.status,
            rows=submission.rows,
            feedback=result.feedback,
            failure=self._told_failure(result),
        )

    @staticmethod
    def _told_failure(result: AttemptResult) -> str | None:
        """Our failure without its inner message, which may quote host paths and worker output."""
        if result.status != "failed":
            return None
        refund = "the iteration was given back" if result.refunded else "the refund budget is spent"
        return f"the harness failed on this attempt, not your submission; {refund}"
