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

    def agent_says(self, text: str) -> None:
        """What of a line of the agent's output is meant for a person. Hostile text."""
