"""The ledger: what the events say was spent, against what it was spent on, and against the limits."""

from __future__ import annotations

from collections.abc import Iterator

from curation_harness.record.event_order import Walk
from curation_harness.record.exchanges import ExchangeLog, call_event
from curation_harness.record.models import AttemptResult
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.verification.outcome import Check, holds, unfit


def check(record: RunRecord, events: Walk) -> Iterator[Check]:
    """Raises:
    RecordInvalid: at the first entry that does not fit.
    """
    for result in record.results():
        _check_result(result, events)
    for n in {*events.scored, *events.failed}:
        if record.result(n) is None:
            unfit(f"attempts/{n:03d}/result.json", "it is missing; events.jsonl says that the attempt has its result")
    _check_calls(record, events)
    _check_limits(record)
    spent = ledger(record)
    told = (
        f"{spent.iterations} iterations ({spent.refunded} refunded), {spent.refusals} refusals,"
        f" {spent.agent_seconds:.0f} s of the agent, {spent.signal_seconds:.0f} s of signals"
    )
    if record.spec.model is not None:
        told += f", {spent.model.requests} model requests, {spent.model.tokens} tokens, ${spent.model.dollars:.2f}"
    yield holds("ledger", f"{told}: every entry has what it was spent on")


def _check_result(result: AttemptResult, events: Walk) -> None:
    name, n = f"attempts/{result.n:03d}/result.json", result.n
    if n not in events.scored and n not in events.failed:
        if events.ended is not None:
            unfit(name, "no event says so")
        return  # its process was killed in between; whoever resumes the run notes it
    if (result.status == "scored") != (n in events.scored):
        unfit(name, f"it is {result.status}, and events.jsonl says otherwise")
    if result.status == "scored":
        if result.public is None or result.public.mean != events.scored[n]:
            unfit(name, f"events.jsonl says that its public mean is {events.scored[n]}")
    elif result.refunded != events.failed[n]:
        unfit(name, "events.jsonl says otherwise of the refund")


def _check_calls(record: RunRecord, events: Walk) -> None:
    """Every request that was counted is one that was sent, with what it cost; requests whose process was killed have
    no line among the exchanges."""
    entries = {entry.id: entry for entry in ExchangeLog(record.folder).entries()}
    for event in record.events.of("model-call"):
        entry, said = entries.get(event.data["id"]), f"events.jsonl, line {event.seq}"
        if entry is None:
            if event.data["outcome"] != "lost":
                unfit(said, f"request {event.data['id']} is not in model/exchanges.jsonl")
            continue
        if not entry.counted:
            unfit(said, f"request {entry.id} costs nothing, by model/exchanges.jsonl")
        for key, value in call_event(entry).items():
            if event.data.get(key) != value:
                unfit(said, f"{key} of request {entry.id} is {event.data.get(key)!a}, and {value!a} by the exchange")
    if events.ended is not None:
        for entry in entries.values():
            if entry.counted and entry.id not in events.called:
                unfit("model/exchanges.jsonl", f"request {entry.id} was sent, and no event counts it")


def _check_limits(record: RunRecord) -> None:
    """Budgets in whole numbers cannot be overdrawn; of time and money the last piece may cross the line."""
    limits, spent = record.spec.task.budgets, ledger(record)
    if spent.iterations - spent.refunded > limits.iterations:
        unfit("events.jsonl", f"{spent.iterations - spent.refunded} iterations were spent of {limits.iterations}")
    if spent.refusals > limits.refusals:
        unfit("events.jsonl", f"{spent.refusals} submissions were refused; the limit was {limits.refusals}")
    if spent.refunded > limits.refunds:
        unfit("events.jsonl", f"{spent.refunded} iterations were refunded; the limit was {limits.refunds}")
