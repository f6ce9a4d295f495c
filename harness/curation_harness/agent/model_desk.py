"""The desk behind a run's gateway: counts model traffic against the budgets and writes it into the record."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from curation_harness.prices import PriceTable
from curation_harness.record.exchanges import ExchangeLog, call_event
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_sandbox.gateway.exchange import Ask, Exchange

KEPT_REFUSALS: Final = 1000
"""Refused requests of a run that are recorded one by one; the rest are counted, or a flood would fill the disk."""
MAX_RECORD_BYTES: Final = 4 * 2**30
"""What a run's model traffic may take on disk: a loop of requests that cost nothing (counting tokens, say) would
fill the host's disk."""
KEPT_REFUSED_BYTES: Final = 64 * 1024
"""What is kept of a refused request's body."""
FAILED: Final = ("provider-error", "cut", "ours")
"""Outcomes that are a failure of the provider or of ours."""


class Denied(NamedTuple):
    """A budget that said no."""

    budget: str
    message: str


class ModelDesk:
    """``GatewayDesk`` of one run. Safe to use from several threads."""

    def __init__(
        self, record: RunRecord, prices: PriceTable, recorded: Callable[[Ask], Denied | None] | None = None
    ) -> None:
        """``recorded`` is a replay's: it says what the recorded run said, instead of counting against the limits."""
        self.turn = 0
        """The agent's turn that exchanges belong to; set by whoever starts turns."""
        self._record = record
        self._prices = prices
        self._recorded = recorded
        self._log = ExchangeLog(record.folder)
        self._log.drop_torn_tail()
        self._lock = threading.Lock()
        self._spent = ledger(record).model
        self._open = 0
        self._refused = self._counts = 0
        for entry in self._log.entries():
            self._refused += entry.sent is None
            self._counts += entry.sent is not None and entry.kind == "count"
        self._dropped = 0
        self._denied: str | None = None
        calls = record.events.of("model-call")
        self._failed_last = bool(calls) and calls[-1].data["outcome"] in FAILED

    @property
    def first_id(self) -> int:
        """Number of the next exchange; none is used twice, though a request that was lost has no entry."""
        numbers = [entry.id for entry in self._log.entries()]
        numbers += [event.data["id"] for event in self._record.events.of("model-asked")]
        return max(numbers, default=0) + 1

    @property
    def denied(self) -> str | None:
        """The budget that a request was refused for in this process."""
        return self._denied

    @property
    def provider_failed(self) -> bool:
        """Whether the model's last reply was lost to a failure of the provider or of ours."""
        return self._failed_last

    def admit(self, ask: Ask) -> str | None:
        with self._lock:
            denied = self._over_budget(ask)
            if denied is None:
                self._open += 1
                self._counts += ask.kind == "count"
        if denied is None:
            self._reserve(ask)
            return None
        if self._denied is None:
            self._denied = denied.budget
            self._record.events.append("budget-spent", budget=denied.budget)
        return denied.message

    def _reserve(self, ask: Ask) -> None:
        """Have it on disk that the request is sent: if nobody sees its end, it is charged all the same."""
        if ask.kind != "generate":
            return
        try:
            self._record.events.append("model-asked", id=ask.id, model=ask.model, tokens=len(ask.body) // 4)
        except BaseException:  # cancelled too: what could not be put on the ledger is not sent, and holds no place
            with self._lock:
                self._open -= 1
            raise

    def finished(self, exchange: Exchange) -> None:
        try:
            if exchange.sent is None:  # refused, denied, or given up before its turn came
                self._keep_refusal(exchange)
            else:
                self._keep(exchange)
        finally:
            if exchange.sent is not None:  # it was admitted
                with self._lock:
                    self._open = max(0, self._open - 1)

    def _keep(self, exchange: Exchange) -> None:
        dollars = None
        if exchange.usage is not None and exchange.model is not None:
            dollars = self._prices.dollars(exchange.model, exchange.usage, exchange.began)
        entry = self._log.append(exchange, self.turn, dollars)
        if not entry.counted:
            return
        self._record.events.append("model-call", **call_event(entry))
        with self._lock:
            self._spent = self._spent.plus(entry.tokens, entry.dollars, entry.outcome)
            self._failed_last = exchange.outcome in FAILED

    def turned_away(self) -> None:
        """Count a connection that was refused before it held a request; there is nothing to write down of it."""
        with self._lock:
            self._dropped += 1

    def close(self) -> None:
        """Record what was only counted."""
        if self._dropped:
            self._record.events.append("model-refusals", not_recorded=self._dropped)
            self._dropped = 0

    def _over_budget(self, ask: Ask) -> Denied | None:
        limits, spent = self._record.spec.task.budgets, self._spent
        if self._log.kept_bytes >= MAX_RECORD_BYTES:
            return _denied("model record", f"the record of the model's traffic has {MAX_RECORD_BYTES} bytes")
        if self._recorded is not None:
            return self._recorded(ask)
        # a count of tokens costs nothing, but a line of the record; so it has the same limit, by itself
        asked = self._counts if ask.kind == "count" else spent.requests - spent.given_back + self._open
        if limits.model_requests is not None and asked >= limits.model_requests:
            return _denied("model requests", f"all {limits.model_requests} requests to the model are spent")
        if limits.model_tokens is not None and spent.tokens >= limits.model_tokens:
            return _denied("model tokens", f"all {limits.model_tokens} tokens of the model are spent")
        if limits.model_dollars is not None and spent.dollars >= limits.model_dollars:
            return _denied("model money", f"the {limits.model_dollars:g} dollars for the model are spent")
        return None

    def _keep_refusal(self, exchange: Exchange) -> None:
        with self._lock:
            self._refused += 1
            if self._refused > KEPT_REFUSALS:
                self._dropped += 1
                return
        shortened = dataclasses.replace(exchange, request=exchange.request[:KEPT_REFUSED_BYTES])
        self._log.append(shortened, self.turn, None)


def _denied(budget: str, why: str) -> Denied:
    return Denied(budget, f"{why}; this run's model answers no more. The run ends now; do not retry.")
