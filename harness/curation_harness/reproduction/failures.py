"""When we fail to run a policy again: noted, told as ours, and counted, since failing us would be free compute."""

from __future__ import annotations

from typing import Final

from curation_harness.record.store import RunRecord
from curation_sandbox.errors import CurationError, EngineUnavailable
from curation_sandbox.submit_server import HandlerError

WHAT: Final = "reproduction-failed"


def note(record: RunRecord, error: CurationError) -> None:
    """Record a failure; ``engine`` says whether the engine was away, which no policy can bring about."""
    away = isinstance(error, EngineUnavailable) or isinstance(error.__cause__, EngineUnavailable)
    record.events.append("worker", what=WHAT, failure=str(error)[:500], engine=away)


def require_few(record: RunRecord) -> None:
    """Raises:
    HandlerError: policies made us fail more often than failures are refunded.
    """
    failures = [event for event in record.events.of("worker") if event.data["what"] == WHAT]
    count = sum(not event.data.get("engine", False) for event in failures)
    if count > record.spec.task.budgets.refunds:
        message = f"the harness failed {count} times to run policies of this run again; no more are tried"
        raise HandlerError(403, "budget-spent", message)
