"""What a run has come to, derived from its record alone: status, ledger, best attempt.

Nothing here is stored twice: the events and the attempt folders are the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curation_harness.record import event_data
from curation_harness.record.models import AttemptResult, RunStatus
from curation_harness.record.store import RunRecord
from curation_plugins.config import Budgets
from curation_sandbox.protocol import Budget

GIVEN_BACK: Final = 100
"""Requests of a run that the model's provider failed on and that are given back: an outage takes tens of them. More
are charged, or an agent that can make a provider fail could ask without end."""


@dataclass(frozen=True)
class ModelSpending:
    """What the model has cost."""

    requests: int = 0
    """Requests that went to the provider, failed ones included."""
    tokens: int = 0
    """Prompts, cached ones too, and replies."""
    dollars: float = 0.0
    """By the run's prices; what has no price counts nothing."""
    priced: int = 0
    """Requests that have a price."""
    failed: int = 0
    """Requests that the provider failed on before it answered."""

    @property
    def given_back(self) -> int:
        """Requests that count against no limit: what fails in an outage is not the agent's to pay."""
        return min(self.failed, GIVEN_BACK)

    def plus(self, tokens: int, dollars: float | None, outcome: str) -> ModelSpending:
        """With one request more."""
        return ModelSpending(
            requests=self.requests + 1,
            tokens=self.tokens + tokens,
            dollars=self.dollars + (dollars or 0.0),
            priced=self.priced + (dollars is not None),
            failed=self.failed + (outcome == "provider-error"),
        )


@dataclass(frozen=True)
class Ledger:
    """What has been spent of each budget."""

    iterations: int
    """Accepted submissions, refunded ones included."""
    refunded: int
    refusals: int
    agent_seconds: float
    signal_seconds: float
    model: ModelSpending

    def budgets(self, record: RunRecord) -> tuple[Budget, ...]:
        limits = record.spec.task.budgets
        return (
            Budget(
                name="iterations",
                unit="attempts",
                limit=limits.iterations,
                spent=self.iterations,
                refunded=self.refunded,
            ),
            Budget(name="refusals", unit="submissions", limit=limits.refusals, spent=self.refusals),
            Budget(name="agent time", unit="seconds", limit=limits.agent_seconds, spent=self.agent_seconds),
            Budget(name="signal time", unit="seconds", limit=limits.signal_seconds, spent=self.signal_seconds),
            Budget(name="refunds", unit="attempts", limit=limits.refunds, spent=self.refunded),
            *(self._model_budgets(limits) if record.spec.model is not None else ()),
        )

    def _model_budgets(self, limits: Budgets) -> tuple[Budget, ...]:
        money = Budget(name="model money", unit="dollars", limit=limits.model_dollars, spent=self.model.dollars)
        return (
            Budget(
                name="model requests",
                unit="requests",
                limit=limits.model_requests,
                spent=self.model.requests,
                refunded=self.model.given_back,
            ),
            Budget(name="model tokens", unit="tokens", limit=limits.model_tokens, spent=self.model.tokens),
            # without a price it is unknown, and no line says that better than "$0.00"
            *((money,) if self.model.priced or limits.model_dollars is not None else ()),
        )


def iterations_left(record: RunRecord) -> int:
    return record.spec.task.budgets.iterations - len(record.events.of("accepted")) + _refunded(record)


def _refunded(record: RunRecord) -> int:
    return sum(1 for event in record.events.of("attempt-failed") if event.data["refunded"])


def ledger(record: RunRecord) -> Ledger:
    events = record.events
    return Ledger(
        iterations=len(events.of("accepted")),
        refunded=_refunded(record),
        refusals=len(events.of("refused")),
        agent_seconds=sum(event.data["agent_seconds"] for event in events.of("clock")),
        signal_seconds=sum(event.data["seconds"] for event in events.of("signal")),
        model=_model_spending(record),
    )


def _model_spending(record: RunRecord) -> ModelSpending:
    spent = ModelSpending()
    for event in record.events.of("model-call"):
        spent = spent.plus(event.data["tokens"], event.data["dollars"], event.data["outcome"])
    return spent


def status(record: RunRecord) -> RunStatus:
    """The run's status; ``running`` only while a process holds it."""
    turns = record.events.of("ended", "resumed")  # a resumed run goes on after an earlier end
    if turns and turns[-1].kind == "ended":
        ended = event_data.check(turns[-1])
        assert isinstance(ended, event_data.Ended)
        return ended.status
    return "running" if record.held() else "unscored"


def best(results: tuple[AttemptResult, ...]) -> AttemptResult | None:
    """The scored attempt with the highest public mean; of equals the earliest."""
    scored = [result for result in results if result.status == "scored" and result.public is not None]
    return max(scored, key=lambda result: (_mean(result), -result.n), default=None)


def _mean(result: AttemptResult) -> float:
    return result.public.mean if result.public is not None else float("-inf")
