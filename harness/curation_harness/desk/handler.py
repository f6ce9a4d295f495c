"""Answers the submit socket for one run: the one place where a request meets the ledger and the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from curation_harness.attempts.clock import AgentClock
from curation_harness.attempts.work import HostWork
from curation_harness.desk.intake import Intake
from curation_harness.desk.methods import MethodsDesk
from curation_harness.desk.signals import SignalDesk
from curation_harness.record.models import AttemptResult, AttemptSubmission
from curation_harness.record.scheme import Scheme
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.reproduction.history import HistoryFolder
from curation_harness.reproduction.trials import TrialDesk
from curation_harness.rules import rules
from curation_plugins.api import Scaffold, Task
from curation_plugins.errors import SubmissionRefused
from curation_sandbox.protocol import (
    AttemptState,
    AttemptView,
    Budget,
    CheckReply,
    History,
    HistoryFile,
    MethodList,
    MethodView,
    ReproduceRequest,
    ReproductionView,
    SignalView,
    Status,
    SubmitReply,
    SubmitRequest,
    TaskView,
)
from curation_sandbox.submit_server import HandlerError


@dataclass
class RunHandler:
    """The submit server's handler. Called from several threads."""

    record: RunRecord
    plugin: Task
    scaffold: Scaffold
    assets: Path
    clock: AgentClock
    work: HostWork
    intake: Intake
    signals: SignalDesk
    cards: MethodsDesk
    trials: TrialDesk
    given: HistoryFolder
    over: Callable[[], bool]
    """Whether the agent's part of the run is over."""
    on_done: Callable[[], None]

    def __post_init__(self) -> None:
        self._notices: list[str] = []
        self._states: dict[int, AttemptState] = {}
        self._pool_rows = self.plugin.pool_rows(self.assets)

    # -- told by the run loop ------------------------------------------------------------------------

    def notice(self, text: str) -> None:
        """Something the agent should know; shown by ``curate status``."""
        self._notices.append(text)

    def attempt_state(self, n: int, state: AttemptState) -> None:
        self._states[n] = state

    # -- SubmitHandler -------------------------------------------------------------------------------

    def task(self) -> TaskView:
        config, spec = self.plugin.config, self.record.spec
        again = spec.reproduce_policy
        return TaskView(
            name=config.name,
            title=config.title,
            brief=self.plugin.brief(),
            rules=rules(self.plugin, self.scaffold, spec.seeds.agent, reproduces=again),
            kind=config.submission.kind,
            rows_max=config.submission.rows_max,
            repeats_max=config.submission.repeats_max,
            samples_min=config.submission.samples_min,
            max_bytes=config.submission.max_bytes,
            pool_rows=self._pool_rows,
            iterations=config.budgets.iterations,
            benchmarks=Scheme.of(self.plugin).of_half("public"),
            signals=self.plugin.signals(),
            seed=spec.seeds.agent,
            reproduces=again,
            reproduce_seconds=config.budgets.reproduce_seconds,
            methods=self.cards.count(),
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
            chosen = self.intake.parse(data)
        except SubmissionRefused as refused:
            return CheckReply(ok=False, rows=None, problems=refused.problems, more_problems=refused.more_problems)
        return CheckReply(ok=True, rows=len(chosen.rows), problems=(), notes=chosen.notes)

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        return self.intake.submit(request, data, policy)

    def submitted(self, key: str) -> SubmitReply | None:
        return self.intake.submitted(key)

    def reproduce(self, request: ReproduceRequest, data: Path, policy: Mapping[str, Path]) -> ReproductionView:
        return self.trials.request(request, data, policy)

    def reproduction(self, id: str) -> ReproductionView | None:
        return self.trials.view(id)

    def methods(self, family: str | None, search: str | None) -> MethodList:
        return self.cards.listed(family, search)

    def method(self, id: str) -> MethodView:
        return self.cards.read(id)

    def history_files(self) -> tuple[HistoryFile, ...]:
        return self.given.files()

    def history_file(self, path: str) -> Path | None:
        return self.given.file(path)

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

    def unfinished(self) -> int | None:
        """The attempt that is queued or under way."""
        return self.intake.unfinished()

    # -- pieces --------------------------------------------------------------------------------------

    def _budgets(self) -> tuple[Budget, ...]:
        running = self.clock.spent()
        return tuple(
            budget.model_copy(update={"spent": running}) if budget.name == "agent time" else budget
            for budget in ledger(self.record).budgets(self.record)
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
