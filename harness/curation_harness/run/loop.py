"""The run loop: a container, a submit server, the host's work and the record, from first instruction to headline.

``RunLoop`` is what ``launch``, ``resume`` and ``finish`` share; they differ in what it starts with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from pydantic import JsonValue

from curation_harness.agent.box import AgentBox
from curation_harness.agent.phase import AgentPhase
from curation_harness.agent.seat import Seat
from curation_harness.attempts.clock import AgentClock, Pulse
from curation_harness.attempts.headline import HeadlineRunner
from curation_harness.attempts.runner import AttemptRunner, Attempts, RecordedAttempts
from curation_harness.attempts.trial import TrialRunner
from curation_harness.attempts.work import HostWork
from curation_harness.changes import differences
from curation_harness.desk.handler import RunHandler
from curation_harness.desk.intake import Intake
from curation_harness.desk.methods import MethodsDesk
from curation_harness.desk.signals import SignalDesk
from curation_harness.record.models import Headline, RunStatus
from curation_harness.record.sealing import seal, unseal
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.recorded import agent_is_through
from curation_harness.reproduction.history import SELECTION_NAMES, HistoryFolder
from curation_harness.reproduction.reproducer import Reproducer
from curation_harness.reproduction.runner import ContainerRunner, PolicyRunner
from curation_harness.reproduction.trials import TrialDesk
from curation_harness.run.recovery import recover, recover_clock
from curation_harness.watcher import Watcher
from curation_plugins.api import Engine, EngineSession, Scaffold, Task
from curation_plugins.errors import WorkerDiskFull, WorkFailed
from curation_plugins.selection import Selection
from curation_sandbox.errors import CurationError
from curation_sandbox.protocol import AttemptState

POLL_SECONDS = 0.1
_HELD: Final[list[AbstractContextManager[None]]] = []
"""Locks that are let go of with the process."""
STOP_SECONDS = 15.0
"""How long an interrupted run waits for the work under way to let go of the record."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a run is made of, resolved."""

    record: RunRecord
    task: Task
    scaffold: Scaffold
    engine: Engine
    assets: Path
    cache: Path
    watcher: Watcher
    replayed: RunRecord | None = None
    """In a replay: the recorded run, whose results are given instead of training and scoring."""
    policies: PolicyRunner | None = None
    """Runs submitted policies again; none: in containers of the run's image."""


class RunLoop:
    """One process's work on one run. Use as a context manager; the record is locked inside."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.record = parts.record
        self._stack = ExitStack()
        self._stop = threading.Event()
        self._done_at: float | None = None
        self._agent_over = False
        self._told_interruption = False
        self._lock = self.record.lock()
        self._unsealed = False
        self.outlived = False
        """Whether work could not be ended when the run was stopped, and may yet write."""

    def __enter__(self) -> RunLoop:
        with ExitStack() as stack:
            self._lock.__enter__()
            stack.push(self._let_go)
            unseal(self.record)
            self._unsealed = True
            self.record.settle_format()
            self.record.events.drop_torn_tail()
            self.record.events.listen(self.parts.watcher.event)
            self.clock = self._open_clock(stack)
            self.session = stack.enter_context(self._open_session())
            self.work = HostWork(self.clock)
            self.work.start()
            stack.callback(self._close_work)
            self.trials = TrialRunner(self.parts.task, self.parts.assets, self.session)
            self.handler = self._make_handler()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    # -- the phases ----------------------------------------------------------------------------------

    def work_off(self) -> None:
        """Execute accepted attempts that have no result yet."""
        finished = {result.n for result in self.record.results()}
        for submission in self.record.submissions():
            if submission.n not in finished:
                self._queue_attempt(submission.n)

    def agent_phase(self, seat: Seat) -> None:
        """Run the agent in its container, turn by turn, until it is done or a budget is spent.

        Work it has queued goes on after it; ``work_through`` waits for that.
        """
        phase = AgentPhase(
            record=self.record,
            seat=seat,
            handler=self.handler,
            work=self.work,
            clock=self.clock,
            watcher=self.parts.watcher,
            box=lambda launch, sockets: AgentBox(
                self.record, self.parts.assets, launch, seat.image, sockets, gateway=seat.model is not None
            ),
            stopping=self._stop.is_set,
            done_at=lambda: self._done_at,
            tell_interruption=self._interrupted,
            patient=self.parts.replayed is None,
        )
        try:
            phase.run()
        finally:
            self._agent_over = True

    def work_through(self) -> None:
        """Wait until all accepted attempts have their results."""
        while self.work.busy and not self._stop.is_set():
            self.work.raise_if_crashed()
            time.sleep(POLL_SECONDS)
        self.work.raise_if_crashed()

    def headline_phase(self) -> RunStatus:
        """Make the sealed headline and end the run, unless it is being stopped."""
        if self._stop.is_set():
            self._interrupted()
            return "unscored"
        try:
            headline = self._headline()
        except WorkerDiskFull:
            raise  # no end: it is made when there is room
        except WorkFailed as error:
            if self._stop.is_set():
                self._interrupted()
                return "unscored"
            self.record.events.append("worker", what="headline-failed", failure=str(error))
            self.record.events.append("ended", status="failed")
            raise
        status: RunStatus = "scored" if headline else "empty"
        self.record.events.append("ended", status=status)
        return status

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def recover(self) -> None:
        """Put right what a killed process left, and tell that another goes on."""
        events = self.record.events
        recover(self.record)
        events.append("resumed", changed=differences(self.record.spec, self.parts.task, self.parts.assets))
        if agent_is_through(self.record) and not events.of("agent-over"):
            events.append("agent-over")

    def stop(self) -> None:
        """End in order: no new work, workers killed, the run left ``unscored``. Safe from a signal handler."""
        self._stop.set()
        threading.Thread(target=self.session.close, daemon=True).start()

    # -- inside --------------------------------------------------------------------------------------

    def _open_clock(self, stack: ExitStack) -> AgentClock:
        events, pulse = self.record.events, Pulse(self.record.folder)
        recover_clock(self.record)
        stack.callback(pulse.clear)
        return AgentClock(
            ledger(self.record).agent_seconds,
            lambda seconds: events.append("clock", agent_seconds=seconds),
            lambda seconds: pulse.beat(len(events.of("clock")), seconds),
        )

    def _open_session(self) -> EngineSession:
        return self.parts.engine.open(
            run_id=self.record.spec.run_id,
            log=self.record.folder / "workers.log",
            config=self.parts.task.config,
            on_event=self._worker_event,
        )

    def _hand_back(self, chosen: Selection, path: Path) -> None:
        """Write a selection as agents hand it in."""
        self.parts.task.write_submission(chosen, path, self.parts.assets)

    def _worker_event(self, what: str, details: Mapping[str, JsonValue]) -> None:
        self.record.events.append("worker", what=what, **details)

    def _make_handler(self) -> RunHandler:
        parts, record = self.parts, self.record
        self.attempts = self._attempts()
        given = HistoryFolder(record, lambda: self.handler.history(), self._hand_back)
        reproducer = Reproducer(
            task=parts.task,
            assets=parts.assets,
            history=given,
            runner=parts.policies or self._policies(),
            seed=record.spec.seeds.agent,
            scratch=record.folder / "policies",
        )
        return RunHandler(
            record=record,
            plugin=parts.task,
            scaffold=parts.scaffold,
            assets=parts.assets,
            clock=self.clock,
            work=self.work,
            intake=Intake(
                record=record,
                plugin=parts.task,
                scaffold=parts.scaffold,
                assets=parts.assets,
                work=self.work,
                reproducer=reproducer,
                over=self._nobody_waits,
                begin=self._begin,
            ),
            signals=self._signals(given),
            cards=MethodsDesk(record, parts.scaffold),
            trials=TrialDesk(record, reproducer, self.work, self._nobody_waits),
            given=given,
            over=self._nobody_waits,
            on_done=self._on_done,
        )

    def _signals(self, given: HistoryFolder) -> SignalDesk:
        parts = self.parts
        return SignalDesk(
            record=self.record,
            task=parts.task,
            assets=parts.assets,
            session=self.session,
            work=self.work,
            cache=parts.cache,
            progress=parts.watcher.progress,
            over=self._nobody_waits,
            given=given,
        )

    def _policies(self) -> ContainerRunner:
        spec = self.record.spec
        output = SELECTION_NAMES[spec.task.submission.kind]
        pool, limits = self.parts.assets / "pool", spec.task.limits
        return ContainerRunner(spec.run_id, spec.image.digest, pool, limits, output, spec.runtime)

    def _begin(self, n: int) -> None:
        self.handler.attempt_state(n, "queued")
        self._queue_attempt(n)

    def _nobody_waits(self) -> bool:
        """Whether the agent's part is over."""
        return self._agent_over or self._done_at is not None or self._stop.is_set()

    def _attempts(self) -> Attempts:
        def tell(n: int, state: AttemptState) -> None:
            self.handler.attempt_state(n, state)

        if self.parts.replayed is not None:
            return RecordedAttempts(self.record, self.parts.replayed, tell)
        return AttemptRunner(
            record=self.record,
            trials=self.trials,
            progress=self.parts.watcher.progress,
            stopping=self._stop.is_set,
            state=tell,
        )

    def _queue_attempt(self, n: int) -> None:
        self.work.add(lambda: self.attempts.run(n))

    def _headline(self) -> Headline | None:
        runner = HeadlineRunner(self.record, self.trials, self.parts.watcher.progress)
        return runner.run()

    def _on_done(self) -> None:
        self._done_at = self._done_at or time.monotonic()

    def _interrupted(self) -> None:
        """Recorded once, before the container is ended: whether the agent ended by itself must be plain later."""
        if not self._told_interruption:
            self._told_interruption = True
            self.record.events.append("interrupted")

    def _close_work(self) -> None:
        try:
            if self._stop.is_set():
                self.work.abandon(STOP_SECONDS)
            else:
                self.work.finish()
        finally:
            self.outlived = self.work.alive

    def _let_go(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Seal the record when the work on it is over, however it ended, and unlock it. Where work could not be ended
        the record stays unsealed, as after a kill, and locked as long as this process lives."""
        if self.outlived:
            _HELD.append(self._lock)
            return
        try:
            if self._unsealed:
                seal(self.record)
        except (CurationError, OSError):
            if error is None:  # what went wrong before is told, not that this does, too
                raise
        finally:
            self._lock.__exit__(None, None, None)
