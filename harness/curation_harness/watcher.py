"""How a run tells of its progress. The command line prints it; tests collect it; by default nobody listens."""

from __future__ import annotations

from curation_harness.record.events import Event


class Watcher:
    """Does nothing; subclasses override what they show. Called from several threads."""

    def step(self, what: str) -> None:
        """A new phase began, e.g. ``making the task's files``."""

    def progress(self, what: str, done: float) -> None:
        """Work is under way; ``done`` in [0, 1]."""

    def event(self, event: Event) -> None:
        """Something was recorded."""

    def agent_output(self, chunk: bytes) -> None:
        """The agent wrote to its terminal. Hostile bytes."""
