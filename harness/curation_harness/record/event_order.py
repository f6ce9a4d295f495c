"""In which order the events of a run can follow each other, as a machine that is in one state at a time.

The run as a whole is ``begun``, then ``ended``, after which only its workers say that they end; a run that is taken
up again goes on from there. Beside it every turn of the agent, every attempt and the headline have states of their
own. A killed process leaves whatever it was about to write: after ``resumed`` a turn counts as over, and an attempt
that was under way may be started again. What the wall clock says decides nothing: it may jump.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from curation_harness.errors import RecordInvalid
from curation_harness.record import event_data as data
from curation_harness.record.entry import Entry
from curation_harness.record.events import Event


@dataclass
class Walk:
    """Where the events have led so far."""

    begun: bool = False
    ended: str | None = None
    """The status that the run ended with."""
    turns: int = 0
    turn_open: bool = False
    agent_over: bool = False
    accepted: dict[int, str] = field(default_factory=dict)
    """Attempt → digest of its selection."""
    started: set[int] = field(default_factory=set)
    scored: dict[int, float] = field(default_factory=dict)
    """Attempt → mean."""
    failed: dict[int, bool] = field(default_factory=dict)
    """Attempt → whether it was refunded."""
    refused: int = 0
    asked: set[int] = field(default_factory=set)
    called: set[int] = field(default_factory=set)
    """Requests to the model."""
    kept: set[int] = field(default_factory=set)
    """Attempts whose models are there."""
    headline: int | None = None
    """The attempt that was trained again last."""
    seeds: dict[int, int] = field(default_factory=dict)
    """Of the headline under way: k → seed."""

    def step(self, event: Event) -> None:
        """Go on by one event.

        Raises:
            RecordInvalid: it cannot come here.
        """
        told = data.check(event)
        try:
            datetime.fromisoformat(event.time)
        except ValueError:
            raise _wrong(event, f"its time {event.time!a} is none") from None
        if event.kind == "created":
            if self.begun:
                raise _wrong(event, "a run is created once, and first")
            self.begun = True
            return
        if not self.begun:
            raise _wrong(event, "the first event of a run is `created`")
        if self.ended is not None and event.kind not in ("resumed", "worker"):
            raise _wrong(event, "the run had ended, and was not resumed")
        rule = _RULES.get(event.kind)
        why = rule(self, told) if rule is not None else None
        if why is not None:
            raise _wrong(event, why)

    # -- rules: each changes the state, or says why the event cannot come here -------------------------

    def _agent_started(self, told: Entry) -> str | None:
        assert isinstance(told, data.AgentStarted)
        if self.turn_open:
            return f"turn {self.turns} of the agent was not over"
        if "turn" in told.model_fields_set and told.turn != self.turns + 1:
            return f"turn {told.turn} comes after turn {self.turns}"
        self.turns += 1
        self.turn_open, self.agent_over = True, False
        return None

    def _agent_exited(self, told: Entry) -> str | None:
        assert isinstance(told, data.AgentExited)
        if not self.turn_open:
            return "no turn of the agent was open"
        if "turn" in told.model_fields_set and told.turn != self.turns:
            return f"turn {told.turn} ends in turn {self.turns}"
        self.turn_open = False
        return None

    def _agent_over(self, told: Entry) -> str | None:
        if self.turn_open:
            return f"turn {self.turns} of the agent was not over"
        self.agent_over = True
        return None

    def _accepted(self, told: Entry) -> str | None:
        assert isinstance(told, data.Accepted)
        if told.n != len(self.accepted) + 1:
            return f"attempt {told.n} comes after {len(self.accepted)} attempts"
        if self._unfinished():
            return f"attempt {min(self._unfinished())} had no result yet"
        self.accepted[told.n] = told.digest
        return None

    def _refused(self, told: Entry) -> str | None:
        assert isinstance(told, data.Refused)
        if told.n != self.refused + 1:
            return f"refusal {told.n} comes after {self.refused} refusals"
        self.refused += 1
        return None

    def _duplicate(self, told: Entry) -> str | None:
        assert isinstance(told, data.Duplicate)
        return None if told.attempt in self.accepted else f"there was no attempt {told.attempt} yet"

    def _attempt_started(self, told: Entry) -> str | None:
        assert isinstance(told, data.AttemptStarted)
        if told.n not in self._unfinished():
            return f"attempt {told.n} " + ("has its result" if told.n in self.accepted else "was not accepted")
        if told.n in self.started:
            return f"attempt {told.n} was started before, and the run was not resumed in between"
        self.started.add(told.n)
        return None

    def _attempt_scored(self, told: Entry) -> str | None:
        assert isinstance(told, data.AttemptScored)
        why = self._no_result(told.n)
        if why is None and told.n not in self.started:
            why = f"attempt {told.n} was not started"
        if why is None:
            self.scored[told.n] = told.mean
        return why

    def _attempt_failed(self, told: Entry) -> str | None:
        assert isinstance(told, data.AttemptFailed)
        why = self._no_result(told.n)
        if why is None:
            self.failed[told.n] = told.refunded
        return why

    def _no_result(self, n: int) -> str | None:
        if n not in self.accepted:
            return f"attempt {n} was not accepted"
        return None if n in self._unfinished() else f"attempt {n} has its result already"

    def _checkpoint_kept(self, told: Entry) -> str | None:
        assert isinstance(told, data.Checkpoint)
        if told.n not in self.accepted or told.n in self.kept:
            return f"attempt {told.n} " + ("was kept already" if told.n in self.kept else "was not accepted")
        self.kept.add(told.n)
        return None

    def _checkpoint_removed(self, told: Entry) -> str | None:
        assert isinstance(told, data.Checkpoint)
        self.kept.discard(told.n)
        return None if told.n in self.accepted else f"attempt {told.n} was not accepted"

    def _model_asked(self, told: Entry) -> str | None:
        assert isinstance(told, data.ModelAsked)
        if told.id in self.asked | self.called:
            return f"request {told.id} was sent before"
        self.asked.add(told.id)
        return None

    def _model_call(self, told: Entry) -> str | None:
        assert isinstance(told, data.ModelCall)
        if told.id in self.called:
            return f"request {told.id} was through already"
        if self.asked and told.id not in self.asked:
            return f"request {told.id} was not announced"
        self.called.add(told.id)
        return None

    def _headline_started(self, told: Entry) -> str | None:
        assert isinstance(told, data.HeadlineStarted)
        best = max(self.scored, key=lambda n: (self.scored[n], -n), default=None)
        if told.attempt != best:
            return f"attempt {told.attempt} is not the best one" + (f", attempt {best} is" if best else "")
        if self._unfinished():
            return f"attempt {min(self._unfinished())} had no result yet"
        if self.headline != told.attempt:
            self.seeds = {}
        self.headline = told.attempt
        return None

    def _headline_seed(self, told: Entry) -> str | None:
        assert isinstance(told, data.HeadlineSeed)
        if self.headline is None:
            return "no headline was being made"
        if told.k in self.seeds:
            return f"seed {told.k} of the headline was trained already"
        self.seeds[told.k] = told.seed
        return None

    def _resumed(self, told: Entry) -> str | None:
        self.ended = None
        self.turn_open = False
        self.started -= self._unfinished()
        return None

    def _ended(self, told: Entry) -> str | None:
        assert isinstance(told, data.Ended)
        if told.status not in ("scored", "empty", "failed"):
            return f"no run ends as {told.status}"
        if told.status != "failed" and self._unfinished():
            return f"attempt {min(self._unfinished())} had no result yet"
        if told.status == "scored" and self.headline is None:
            return "there was no headline"
        if told.status == "empty" and self.scored:
            return f"attempt {min(self.scored)} was scored"
        self.ended = told.status
        return None

    def _unfinished(self) -> set[int]:
        return self.accepted.keys() - self.scored.keys() - self.failed.keys()


_RULES: dict[str, Callable[[Walk, Entry], str | None]] = {
    "agent-started": Walk._agent_started,
    "agent-exited": Walk._agent_exited,
    "agent-over": Walk._agent_over,
    "accepted": Walk._accepted,
    "refused": Walk._refused,
    "duplicate": Walk._duplicate,
    "attempt-started": Walk._attempt_started,
    "attempt-scored": Walk._attempt_scored,
    "attempt-failed": Walk._attempt_failed,
    "checkpoint-kept": Walk._checkpoint_kept,
    "checkpoint-removed": Walk._checkpoint_removed,
    "model-asked": Walk._model_asked,
    "model-call": Walk._model_call,
    "headline-started": Walk._headline_started,
    "headline-seed": Walk._headline_seed,
    "resumed": Walk._resumed,
    "ended": Walk._ended,
}
"""Kinds that are not here may come at any time between `created` and the end."""


def follow(events: Iterable[Event]) -> Walk:
    """Follow all events of a run.

    Raises:
        RecordInvalid: one cannot come where it stands, with its line; or there are none.
    """
    walk = Walk()
    for event in events:
        walk.step(event)
    if not walk.begun:
        raise RecordInvalid("events.jsonl: no events; a run has at least `created`", hint="The record is incomplete.")
    return walk


def _wrong(event: Event, why: str) -> RecordInvalid:
    return RecordInvalid(
        f"events.jsonl, line {event.seq}: `{event.kind}` cannot come here: {why}",
        hint="Lines were removed, added or moved.",
    )
