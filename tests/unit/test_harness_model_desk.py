"""The desk behind the gateway: budgets that hold, spending that survives a crash, floods that fill no disk."""

from __future__ import annotations

import dataclasses
import random

import pytest

from curation_harness.agent import model_desk
from curation_harness.agent.model_desk import ModelDesk
from curation_harness.prices import PriceTable
from curation_harness.record import state
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.models import Price
from curation_harness.record.state import ledger
from curation_sandbox.gateway.exchange import Ask, Usage
from curation_sandbox.gateway.wires import Wire
from test_harness_exchanges import exchange

PRICES = PriceTable("x", (Price(model="m", input=1_000_000, output=0, cached=1_000_000),))  # a dollar a token


def ask(id: int) -> Ask:
    return Ask(id, "POST", "/v1/messages", "generate", Wire.MESSAGES, "m", "m", {}, b"{}", stream=True)


def spend(desk: ModelDesk, id: int, **more: object) -> None:
    assert desk.admit(ask(id)) is None
    desk.finished(exchange(id, **more))


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        ("budgets.model_requests=2", "model requests"),
        ("budgets.model_tokens=10", "model tokens"),
        ("budgets.model_dollars=6", "model money"),
    ],
)
def test_a_spent_budget_says_no_and_says_which(open_loop, budget, name):
    with open_loop(budget) as loop:
        desk = ModelDesk(loop.record, PRICES)
        spend(desk, 1)
        spend(desk, 2)
        said = desk.admit(ask(3))
        assert said is not None
        assert "do not retry" in said
        assert desk.denied == name
        desk.admit(ask(4))
        assert [event.data["budget"] for event in loop.record.events.of("budget-spent")] == [name]


def test_requests_under_way_count_so_that_parallel_ones_do_not_overdraw(open_loop):
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)
        assert desk.admit(ask(1)) is None
        assert desk.admit(ask(2)) is None
        assert desk.admit(ask(3)) is not None


def test_requests_that_an_outage_took_are_given_back(open_loop):
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)
        for id in range(1, 20):
            spend(desk, id, outcome="provider-error", status=503)
        spend(desk, 20)
        again = ModelDesk(loop.record, PRICES)  # so it is in a resumed run
        spend(again, 21)
        assert again.admit(ask(22)) is not None
        spent = ledger(loop.record).model
        assert (spent.requests, spent.given_back) == (21, 19)


def test_an_agent_that_makes_its_provider_fail_cannot_ask_without_end(open_loop, monkeypatch):
    monkeypatch.setattr(state, "GIVEN_BACK", 3)
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)
        for id in range(1, 6):
            spend(desk, id, outcome="provider-error", status=503)
        assert desk.admit(ask(6)) is not None


def test_no_budget_is_no_limit(open_loop):
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PRICES)
        for id in range(1, 20):
            spend(desk, id, usage=Usage(input=10**9))


def test_spending_is_in_the_ledger_and_survives_a_new_process(open_loop):
    with open_loop("budgets.model_requests=2") as loop:
        spend(ModelDesk(loop.record, PRICES), 1)
        again = ModelDesk(loop.record, PRICES)
        assert again.first_id == 2
        spend(again, 2)
        assert ModelDesk(loop.record, PRICES).admit(ask(3)) is not None
        spent = ledger(loop.record).model
        assert (spent.requests, spent.tokens, spent.dollars) == (2, 10, 6.0)


def test_an_exchange_whose_event_was_lost_in_a_crash_is_counted_once(open_loop):
    with open_loop() as loop:
        spend(ModelDesk(loop.record, PRICES), 1)
        ExchangeLog(loop.record.folder).append(exchange(2), 1, 3.0)  # the crash came before the event
        loop.recover()
        loop.recover()
        assert ledger(loop.record).model.requests == 2


def test_a_failed_request_costs_a_request_and_is_the_providers(open_loop):
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PRICES)
        spend(desk, 1, outcome="provider-error", usage=None, status=503)
        assert desk.provider_failed
        spend(desk, 2)
        assert not desk.provider_failed
        assert ledger(loop.record).model.requests == 2


def test_a_flood_of_refused_requests_fills_no_disk(open_loop, monkeypatch):
    monkeypatch.setattr(model_desk, "KEPT_REFUSALS", 5)
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PRICES)
        for id in range(1, 101):
            desk.finished(exchange(id, outcome="refused", request=b"x" * 10**6, sent=None, status=404))
        desk.close()
        log = ExchangeLog(loop.record.folder)
        entries = log.entries()
        assert len(entries) == 5
        assert len(log.body(entries[0].request)) == model_desk.KEPT_REFUSED_BYTES
        assert loop.record.events.of("model-refusals")[0].data["not_recorded"] == 95
        assert not loop.record.events.of("model-call")


def test_a_flood_of_requests_given_up_before_they_were_sent_fills_no_record(open_loop, monkeypatch):
    monkeypatch.setattr(model_desk, "KEPT_REFUSALS", 5)
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PRICES)
        for id in range(1, 101):
            desk.finished(exchange(id, outcome="client-gone", sent=None, usage=None, status=0, chunks=()))
        assert len(ExchangeLog(loop.record.folder).entries()) == 5
        again = ModelDesk(loop.record, PRICES)  # a new process goes on counting where the first one stopped
        again.finished(exchange(101, outcome="client-gone", sent=None, usage=None, status=0, chunks=()))
        assert len(ExchangeLog(loop.record.folder).entries()) == 5


def test_counting_tokens_is_limited_too_though_it_costs_nothing(open_loop):
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)
        count = dataclasses.replace(ask(1), kind="count")
        for id in (1, 2):
            assert desk.admit(count) is None
            desk.finished(exchange(id, kind="count", usage=None))
        assert desk.admit(count) is not None
        assert desk.admit(ask(3)) is None
        assert ModelDesk(loop.record, PRICES).admit(count) is not None


def test_a_model_without_a_price_is_recorded_without_one(open_loop):
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PriceTable("openai-compatible", ()))
        spend(desk, 1)
        assert "model money" not in {budget.name for budget in ledger(loop.record).budgets(loop.record)}
        (entry,) = ExchangeLog(loop.record.folder).entries()
        assert entry.dollars is None
        assert ledger(loop.record).model.dollars == 0.0


def test_a_loop_of_requests_that_cost_nothing_does_not_fill_the_hosts_disk(open_loop, monkeypatch):
    monkeypatch.setattr(model_desk, "MAX_RECORD_BYTES", 20_000)
    with open_loop() as loop:
        desk = ModelDesk(loop.record, PRICES)
        sent = 0
        while desk.admit(ask(sent + 1)) is None and sent < 1000:
            sent += 1
            desk.finished(exchange(sent, kind="count", request=random.Random(sent).randbytes(3000), usage=None))
        assert sent < 10
        assert desk.denied == "model record"
        assert ModelDesk(loop.record, PRICES).admit(ask(1)) is not None  # a new process counts what lies there


def test_a_full_disk_costs_no_request(open_loop, monkeypatch):
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)

        def full(*given: object) -> None:
            raise OSError(28, "no space")

        with monkeypatch.context() as patch:
            patch.setattr(desk._log, "append", full)
            for id in (1, 2, 3):
                assert desk.admit(ask(id)) is None
                with pytest.raises(OSError, match="no space"):
                    desk.finished(exchange(id))
        spend(desk, 4)


def test_hanging_up_before_a_request_is_whole_makes_no_room_for_others(open_loop):
    with open_loop("budgets.model_requests=2") as loop:
        desk = ModelDesk(loop.record, PRICES)
        assert desk.admit(ask(1)) is None
        assert desk.admit(ask(2)) is None
        for id in (3, 4, 5):
            desk.finished(exchange(id, outcome="client-gone", sent=None, usage=None))
        assert desk.admit(ask(6)) is not None


def test_a_request_that_was_admitted_and_then_refused_frees_its_place(open_loop):
    with open_loop("budgets.model_requests=1") as loop:
        desk = ModelDesk(loop.record, PRICES)
        assert desk.admit(ask(1)) is None
        desk.finished(exchange(1, outcome="refused", usage=None))
        assert desk.admit(ask(2)) is None
