"""Budgets of the model in a replay: who was refused then is refused now, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from curation_harness.agent.model_desk import KEPT_REFUSED_BYTES, Denied, ModelDesk
from curation_harness.prices import PriceTable
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.store import RunRecord
from curation_harness.replay.source import RecordedSource
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.wires import Wire
from made_records import made_spec, made_task
from test_harness_exchanges import exchange
from test_harness_replay import PATH, body, record, replies

WORDS = "all 5 tokens of the model are spent; do not retry."


def denied(log: ExchangeLog, id: int, request: bytes, words: str = WORDS) -> None:
    """A request that a budget refused, as the desk keeps it."""
    kept = request[:KEPT_REFUSED_BYTES]
    given: dict[str, Any] = {"request": kept, "sent": None, "path": PATH, "reason": words, "usage": None}
    log.append(exchange(id, outcome="budget", status=400, chunks=(), **given), 1, None)


def told(source: RecordedSource) -> Callable[..., str | None]:
    """Asks for request after request, each with its number."""
    numbers = iter(range(1, 100))

    def ask(request: bytes, path: str = PATH) -> str | None:
        return source.denied(Ask(next(numbers), "POST", path, "generate", Wire.MESSAGES, "m", "m", {}, request, True))

    return ask


def test_parallel_requests_that_overshot_a_limit_do_so_again(tmp_path):
    """Both were under way when the limit was passed; in the replay the first is over before the second is asked."""
    limited = made_task()
    budgets = limited.budgets.model_copy(update={"model_tokens": 5})
    spec = made_spec(task=limited.model_copy(update={"budgets": budgets}))
    log = record(tmp_path / "then", body("a"), body("b"))  # 5 tokens each
    denied(log, 3, body("a", "1", "x"))
    source = RecordedSource(log)

    def recorded(ask: Ask) -> Denied | None:
        words = source.denied(ask)
        return None if words is None else Denied("model tokens", words)

    now = RunRecord.create(tmp_path / "now", spec, None)
    desk = ModelDesk(now, PriceTable("anthropic", ()), recorded)
    said = []
    for id, request in enumerate((body("a"), body("b"), body("a", "1", "x")), start=1):
        ask = Ask(id, "POST", PATH, "generate", Wire.MESSAGES, "m", "m", {}, request, stream=True)
        said.append(desk.admit(ask))
        if said[-1] is None:
            desk.finished(exchange(id, request=request, sent=request, path=PATH))
    assert said == [None, None, WORDS]
    assert desk.denied == "model tokens"
    assert [event.data["budget"] for event in now.events.of("budget-spent")] == ["model tokens"]


def test_without_recorded_words_everything_is_let_through(tmp_path):
    ask = told(RecordedSource(record(tmp_path, body("a"))))
    assert [ask(body("a")), ask(body("a", "1", "more")), ask(body("b"))] == [None, None, None]


def test_a_refused_conversation_stays_refused_however_often_it_asks(tmp_path):
    log = record(tmp_path, body("a"), body("b"))
    denied(log, 3, body("a", "1", "x"))
    ask = told(RecordedSource(log))
    assert ask(body("a")) is None
    assert [ask(body("a", "1", "x")) for _ in range(3)] == [WORDS] * 3
    assert ask(body("b")) is None


def test_a_conversation_refused_at_once_takes_no_other_ones_reply(tmp_path):
    log = record(tmp_path, body("a"), body("b"))
    denied(log, 3, body("c"))
    ask = told(RecordedSource(log))
    assert [ask(body("c")), ask(body("b")), ask(body("a"))] == [WORDS, None, None]


def test_of_two_at_once_one_gets_the_last_reply(tmp_path):
    log = record(tmp_path, body("a"))
    denied(log, 2, body("a"))
    ask = told(RecordedSource(log))
    assert [ask(body("a")), ask(body("a"))] == [None, WORDS]


@pytest.mark.parametrize("order", [("messages", "system"), ("system", "messages")])
def test_a_long_request_is_known_by_the_part_of_it_that_was_kept(tmp_path, order):
    """The first 64 KiB of a refused body are in the record: no JSON any more, and cut within a character."""
    tree = json.loads(body("c", "1", "é" * KEPT_REFUSED_BYTES, system="s"))
    cut = json.dumps({name: tree[name] for name in order}, ensure_ascii=False).encode()
    log = record(tmp_path, body("a"), body("b"))
    denied(log, 3, cut)
    assert len(log.body(log.entries()[2].request)) == KEPT_REFUSED_BYTES
    ask = told(RecordedSource(log))
    assert [ask(cut), ask(body("b")), ask(body("a"))] == [WORDS, None, None]


@pytest.mark.parametrize("kept", [b"", b"no json", b"[" * 60_000, b'{"model": "m", "messages": [{"role": "us'])
def test_a_refused_request_of_which_nothing_is_known_counts_after_the_last_reply(tmp_path, kept):
    log = record(tmp_path, body("a"))
    denied(log, 2, kept)
    ask = told(RecordedSource(log))
    assert [ask(body("other")), ask(body("a")), ask(body("b"))] == [None, WORDS, WORDS]
    assert ask(body("a"), "/v1/responses") is None


def test_what_a_request_was_let_through_for_is_what_it_gets(tmp_path):
    log = record(tmp_path, body("a"), body("b"))
    denied(log, 3, body("a", "1", "x"))
    source = RecordedSource(log)
    ask = Ask(1, "POST", PATH, "generate", Wire.MESSAGES, "m", "m", {}, body("b"), stream=True)
    assert source.denied(ask) is None
    assert replies(source, body("b")) == [b"reply 2 |end"]
    assert source.left() == (1,)
