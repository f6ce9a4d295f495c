"""A container, an engine or sockets that go away under an agent: no fault of its own, noted, waited for, bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from curation_harness.agent.box import AgentBox
from curation_harness.record.store import RunRecord
from curation_sandbox.errors import ContainerFailed, CurationError, EngineUnavailable, ProviderUnreachable

IN_A_ROW: Final = 3
"""Turns in a row that may be lost before the run gives up; whoever resumes it has as many again."""
ENGINE_SECONDS: Final = 180.0
"""How long an engine that went away is waited for: an upgrade of it takes a minute. No time of the agent's."""
POLL_SECONDS: Final = 0.5

Lost = Literal["container", "engine", "sockets", "provider"]


@dataclass
class Losses:
    """Those of one process's work on a run."""

    record: RunRecord
    stopping: Callable[[], bool]
    """Whether the run is being ended: nothing is waited for then."""
    _in_a_row: int = 0
    _last: CurationError | None = None

    def note(self, what: Lost, error: CurationError) -> None:
        """Record a loss."""
        self._in_a_row += 1
        self._last = error
        self.record.events.append("agent-lost", what=what, error=error.message[:500])

    def forget(self) -> None:
        """A turn ended by itself."""
        self._in_a_row = 0

    def make_room(self, box: AgentBox) -> None:
        """Wait until the engine answers and the lost container is surely gone.

        Raises:
            CurationError: the loss itself, where the engine does not come back or it was one too many.
        """
        if self._in_a_row > IN_A_ROW:
            raise self._given_up(f"it was lost {self._in_a_row} times in a row")
        end = time.monotonic() + ENGINE_SECONDS
        while not self.stopping():
            try:
                box.require_gone()
            except (EngineUnavailable, ContainerFailed):
                if time.monotonic() > end:
                    raise self._given_up(f"the engine did not come back within {ENGINE_SECONDS:g} s") from None
                time.sleep(POLL_SECONDS)
            else:
                return

    def of_provider(self, turns: int) -> ProviderUnreachable:
        """The end of the run, for now, after so many turns that the model's provider has failed; it is on record."""
        run = self.record.spec.run_id
        error = ProviderUnreachable(
            f"The model's provider failed in {turns} turns of the agent in a row.",
            hint=f"When it answers: `harness resume {run}`. `harness finish {run}` scores the run as it is.",
        )
        self.note("provider", error)
        return error

    def _given_up(self, why: str) -> CurationError:
        run, last = self.record.spec.run_id, self._last
        kind = type(last) if last is not None else ContainerFailed
        message = last.message if last is not None else "The container was lost."
        return kind(
            f"{message}\nThe agent's container cannot be had again: {why}.",
            hint=f"`harness doctor` looks at the engine; `harness resume {run}` then goes on, `harness finish {run}`"
            " scores the run as it is.",
        )


def what_went(error: CurationError) -> Lost:
    """Whether the engine went away or only the container."""
    return "engine" if isinstance(error, EngineUnavailable) else "container"
