"""The agent's conversation with its model over the turns of a run: how it begins, and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from curation_harness.agent.seat import Seat
from curation_harness.record.events import Event
from curation_harness.record.state import iterations_left
from curation_harness.record.store import RunRecord
from curation_plugins.api import AgentLaunch

Why = Literal["stopped", "idle", "provider", "lost", "interrupted"]
"""Why a turn is not the first one."""

_SAID: Final[dict[Why, str]] = {
    "stopped": "You stopped, and the run is not over.",
    "idle": "Nothing was heard of you for a long time, so your program was ended and started again.",
    "provider": "The connection to the model had failed, which was no fault of yours; it goes on now.",
    "lost": "Your container was ended from outside, which was no fault of yours; you go on in a new one.",
    "interrupted": "The run was interrupted and goes on now.",
}


@dataclass(frozen=True)
class Conversation:
    """Knows from the record's events alone where the conversation stands, so a new process does too."""

    record: RunRecord
    seat: Seat

    @property
    def can_go_on(self) -> bool:
        """Whether the agent's program can be continued at all."""
        return self.seat.proceed(1, "") is not None

    def first_launch(self) -> AgentLaunch:
        """The run's first turn, or, in a run that is resumed, the next one."""
        starts = self._starts()
        if starts and self._answered(starts[-1]):
            again = self.seat.proceed(len(starts), self._message("interrupted"))
            if again is not None:
                return again
        return self.seat.launch(len(starts) + 1)

    def go_on(self, why: Why) -> AgentLaunch | None:
        """The next turn; a conversation in which the model never answered is begun anew, and so is a lost one that
        cannot be gone on with."""
        starts = self._starts()
        if starts and self._answered(starts[-1]):
            again = self.seat.proceed(len(starts), self._message(why))
            if again is not None or why != "lost":
                return again
        return self.seat.launch(len(starts) + 1)

    def _message(self, why: Why) -> str:
        left = iterations_left(self.record)
        return (
            f"{_SAID[why]} You have {left} of {self.record.spec.task.budgets.iterations} iterations left:"
            " `curate status` shows every budget, `curate history` your scores. Go on: improve the policy and submit"
            " again. If you want to end the run, call `curate done`."
        )

    def _starts(self) -> list[Event]:
        """Beginnings of a conversation: turns that did not go on in an earlier one."""
        found: list[Event] = []
        continued = False
        for event in self.record.events.of("agent-started", "agent-continued", "resumed"):
            if event.kind == "agent-started":
                if not (continued and found and self._answered(found[-1], until=event.seq)):
                    found.append(event)
                continued = False
            else:
                continued = True
        return found

    def _answered(self, start: Event, until: int | None = None) -> bool:
        """Whether the model has answered in the conversation that began with ``start``."""
        return any(
            event.data["outcome"] == "ok"
            and event.data["status"] == 200
            and event.seq > start.seq
            and (until is None or event.seq < until)
            for event in self.record.events.of("model-call")
        )
