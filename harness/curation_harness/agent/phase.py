"""The agent's part of a run: its sockets, its turns, and what ends each of them.

A turn is one container. An agent that stops with iterations left is told how many and goes on in the same
conversation; so is one whose run was interrupted and resumed, or whose container went away under it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from curation_harness.agent.box import AgentBox, SocketFolder
from curation_harness.agent.conversation import Conversation, Why
from curation_harness.agent.losses import Losses, what_went
from curation_harness.agent.model_desk import ModelDesk
from curation_harness.agent.seat import Seat
from curation_harness.agent.sockets import AgentSockets
from curation_harness.attempts.clock import AgentClock
from curation_harness.attempts.work import HostWork
from curation_harness.desk.handler import RunHandler
from curation_harness.prices import PriceTable
from curation_harness.record.state import iterations_left
from curation_harness.record.store import RunRecord
from curation_harness.watcher import Watcher
from curation_plugins.api import AgentLaunch
from curation_sandbox.blobs import BlobStore
from curation_sandbox.container import ExitStatus
from curation_sandbox.errors import ContainerFailed, ContainerGone, EngineUnavailable
from curation_sandbox.gateway.http_source import HttpSource

POLL_SECONDS: Final = 0.1
DONE_SECONDS: Final = 5.0
"""How long a container may go on after ``curate done``, and after its model was refused for a spent budget."""
GRACE_SECONDS: Final = 60.0
"""How long an agent may go on after its last iteration was scored, to read the score and say goodbye."""
OUTAGES: Final = 5
"""Turns in a row that a failing provider may end before the run gives up on it."""
OUTAGE_SECONDS: Final = 20.0
"""Wait before the turn after a provider's failure, doubled with each one in a row; no time of the agent's."""
MAX_LINE: Final = 2**20
"""Longest line of an agent's output that is looked at whole."""

Ended = Literal["exited", "done", "budget", "idle", "stopped", "lost"]
"""Why a turn is over: the program ended or lingered after its last word; ``curate done``; a budget was spent; the
idle watchdog; the run is being stopped; its container or its sockets went away."""


@dataclass
class AgentPhase:
    """Runs the agent of one run until it is through. Use ``run`` once."""

    record: RunRecord
    seat: Seat
    handler: RunHandler
    work: HostWork
    clock: AgentClock
    watcher: Watcher
    box: Callable[[AgentLaunch, SocketFolder], AgentBox]
    stopping: Callable[[], bool]
    done_at: Callable[[], float | None]
    """When ``curate done`` was called, on the monotonic clock."""
    tell_interruption: Callable[[], None]
    patient: bool = True
    """Whether to wait before the turn after a provider's failure; a recorded one does not get better."""
    _alive_at: float = field(default_factory=time.monotonic)
    """When the agent last gave a sign of life."""
    _final_at: float | None = None
    _line: bytes = b""
    _outages: int = 0

    def run(self) -> None:
        """All turns.

        Raises:
            CurationError: a container or a server of ours cannot be started.
        """
        self._began = time.monotonic()
        self._conversation = Conversation(self.record, self.seat)
        self._losses = Losses(self.record, self.stopping)
        rules = self.record.spec.task.submission
        blobs = BlobStore(self.record.folder / "blobs", max_blob=rules.max_bytes, max_total=16 * rules.max_bytes)
        with ExitStack() as stack:
            self._desk = self._model_desk(stack)
            launch = self._first_launch()
            while launch is not None:
                launch = self._turns(launch, blobs)

    def _first_launch(self) -> AgentLaunch | None:
        """As ever; in a run that is resumed, what would have followed if its process had not been killed between the
        agent's own end and the word on how it goes on."""
        ended = _last_word(self.record)
        return self._conversation.first_launch() if ended is None else self._next_launch(ended)

    def _model_desk(self, stack: ExitStack) -> ModelDesk | None:
        model = self.seat.model
        if model is None:
            return None
        desk = ModelDesk(self.record, PriceTable(model.used.provider, model.used.prices), model.denied)
        stack.callback(desk.close)
        if isinstance(model.source, HttpSource):
            model.source.while_failing = self.clock.host_works  # an outage is no time of the agent's
        return desk

    # -- turns ---------------------------------------------------------------------------------------

    def _turns(self, launch: AgentLaunch | None, blobs: BlobStore) -> AgentLaunch | None:
        """Turns over one pair of sockets; how the agent goes on over the next, where this one was lost."""
        with AgentSockets(self.record, self.handler, blobs, self.seat.model, self._desk) as self._sockets:
            while launch is not None:
                launch = self._next_launch(self._turn(launch, self._sockets.folder))
                if not self._sockets.alive():
                    break
        return launch

    def _turn(self, launch: AgentLaunch, sockets: SocketFolder) -> Ended:
        begun = len(self.record.events.of("agent-started"))
        self._box = self.box(launch, sockets)
        self._line, self._final_at, self._alive_at = b"", None, time.monotonic()
        if self._desk is not None:
            self._desk.turn = begun + 1
        try:
            return self._in_box(self._box, begun + 1)
        except (EngineUnavailable, ContainerFailed) as error:
            if begun == len(self.record.events.of("agent-started")) == 0:
                raise  # not even the first could be started: a mistake, no accident
            self._losses.note(what_went(error), error)
            return "lost"

    def _in_box(self, box: AgentBox, number: int) -> Ended:
        with box.open(self._agent_output):
            self.record.events.append("agent-started", container=box.container_id, turn=number)
            self.clock.start()
            status: ExitStatus | None = None
            try:
                ended = self._watch(box)
            finally:
                self.clock.stop()
                status = self._ended(box, number)
            with suppress(OSError):  # a log that cannot be kept must not cost the run
                box.keep_session_log(self.seat.agent.session_files, number)
        if ended == "lost":
            self._losses.note("sockets", ContainerGone("The folder of the run's sockets was removed."))
        elif ended == "exited" and status is not None and status.from_outside:
            self._losses.note("container", ContainerGone("The agent's container was ended from outside."))
            ended = "lost"
        else:
            self._losses.forget()
        return ended

    def _ended(self, box: AgentBox, number: int) -> ExitStatus | None:
        """End the container if it runs; how it ended is in the record even if the engine cannot say it."""
        status = None
        try:
            box.end()
            status = box.exit_status()
        finally:
            self.record.events.append(
                "agent-exited",
                code=status.code if status else None,
                oom_killed=bool(status and status.oom_killed),
                turn=number,
            )
        return status

    def _next_launch(self, ended: Ended) -> AgentLaunch | None:
        """How the agent goes on after a turn; None: its part of the run is over, or is being interrupted."""
        if ended == "stopped":
            return None
        launch = None if ended in ("done", "budget") else self._continuation(ended)
        if launch is None and not self.stopping():
            self.record.events.append("agent-over")
        return launch

    def _continuation(self, ended: Ended) -> AgentLaunch | None:
        if self._desk is not None and self._desk.denied:
            return None
        if ended != "lost" and not self._conversation.can_go_on:
            return None
        self._wait_for_work()
        left = iterations_left(self.record)
        why = self._why(ended) if left > 0 and self.done_at() is None and not self.stopping() else None
        if why is None:
            return None
        launch = self._conversation.go_on(why)
        self.record.events.append("agent-continued", why=why, iterations_left=left)
        return launch

    def _why(self, ended: Ended) -> Why | None:
        """The reason to continue, if there is one: a failure of ours or of the provider is not the agent's stop.

        Raises:
            CurationError: we or the provider failed too often; the run stays as it is, to be resumed.
        """
        if ended == "lost":
            self._losses.make_room(self._box)
            return None if self.stopping() else "lost"
        if self._desk is not None and self._desk.provider_failed:
            self._outages += 1
            if self._outages > OUTAGES and self.patient:
                raise self._losses.of_provider(self._outages)
            if self._outages > OUTAGES:
                return None
            if self.patient:
                self._sleep(OUTAGE_SECONDS * 2 ** (self._outages - 1))
            return "provider"
        self._outages = 0
        told = [event.data["why"] for event in self.record.events.of("agent-continued")]
        used = len(told) - told.count("provider") - told.count("lost")
        if used >= self.record.spec.task.budgets.continuations:
            return None
        return "idle" if ended == "idle" else "stopped"

    def _wait_for_work(self) -> None:
        """An agent may leave while its attempt is trained; what it has left is known after that."""
        while self.work.busy and not self.stopping():
            self.work.raise_if_crashed()
            time.sleep(POLL_SECONDS)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stopping():
            time.sleep(POLL_SECONDS)

    # -- watching ------------------------------------------------------------------------------------

    def _watch(self, box: AgentBox) -> Ended:
        """Until the container ends or a reason to end it appears."""
        budgets = self.record.spec.task.budgets
        out_since: float | None = None
        denied_since: float | None = None
        while not box.ended():
            self.work.raise_if_crashed()
            self.clock.tick()
            self._tell_oom_kills(box)
            now = time.monotonic()
            if self.stopping():
                self.tell_interruption()
                return "stopped"
            if not self._sockets.alive():
                return "lost"
            done = self.done_at()
            if done is not None and now - done > DONE_SECONDS:
                return "done"
            if self.clock.spent() >= budgets.agent_seconds:
                return self._budget_spent("agent time")
            if now - self._began >= budgets.total_seconds:
                return self._budget_spent("total time")
            out_since = (out_since or now) if self._out_of_iterations() else None
            if out_since is not None and now - out_since > GRACE_SECONDS:
                return self._budget_spent("iterations")
            denied_since = (denied_since or now) if self._desk is not None and self._desk.denied else None
            if denied_since is not None and now - denied_since > DONE_SECONDS + budgets.linger_seconds:
                return "budget"
            if self._final_at is not None and now - self._final_at > budgets.linger_seconds:
                self.record.events.append("agent-lingers")
                return "exited"
            if self._idle_for(now) > budgets.idle_seconds:
                self.record.events.append("agent-idle", seconds=round(self._idle_for(now), 1))
                return "idle"
            time.sleep(POLL_SECONDS)
        return "done" if self.done_at() is not None else "exited"

    def _idle_for(self, now: float) -> float:
        """Seconds without a sign of life; while the host works for the agent, none are expected."""
        if self.work.busy:
            self._alive_at = now
        activity = self._sockets.activity()
        if activity is not None:
            self._alive_at = now if activity.in_flight else max(self._alive_at, activity.last)
        return now - self._alive_at

    def _agent_output(self, chunk: bytes) -> None:
        self._alive_at = time.monotonic()
        *lines, self._line = (self._line + chunk).split(b"\n")
        self._line = self._line[:MAX_LINE]
        for line in lines:
            said = self.seat.agent.readable(line)
            if said is not None:
                self.watcher.agent_says(said)
            if self.seat.agent.is_final(line):
                self._final_at = time.monotonic()

    def _out_of_iterations(self) -> bool:
        return iterations_left(self.record) <= 0 and self.handler.unfinished() is None

    def _budget_spent(self, name: str) -> Ended:
        self.record.events.append("budget-spent", budget=name)
        return "budget"

    def _tell_oom_kills(self, box: AgentBox) -> None:
        count = box.new_oom_kills()
        if count:
            self.record.events.append("oom-kill", count=count)
            limit = self.record.spec.task.limits.memory
            self.handler.notice(f"{count} process(es) were killed for memory; the container's limit is {limit}")


def _last_word(record: RunRecord) -> Ended | None:
    """How the agent's last turn came to its end by itself, if nothing was made of that yet."""
    kinds = [event.kind for event in record.events.all()]
    if "agent-started" not in kinds:
        return None
    since = set(kinds[len(kinds) - kinds[::-1].index("agent-started") :])
    if "agent-exited" not in since or since & {"interrupted", "agent-lost", "agent-continued"}:
        return None
    return "idle" if "agent-idle" in since else "exited"
