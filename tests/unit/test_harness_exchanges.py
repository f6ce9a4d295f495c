"""The record of model traffic: whole or not there, equal bodies once, nothing believed that was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeLog
from curation_sandbox.gateway.exchange import Chunk, Exchange, Usage
from curation_sandbox.gateway.wires import Wire


def exchange(id: int, **more: object) -> Exchange:
    given: dict[str, object] = {
        "id": id,
        "began": 1.5,
        "method": "POST",
        "path": "/v1/messages?beta=true",
        "wire": Wire.MESSAGES,
        "kind": "generate",
        "model": "m",
        "request": b'{"a": 1}',
        "sent": b'{"a": 1}',
        "status": 200,
        "chunks": (Chunk(0.1, b"event: "), Chunk(0.2, b"x\n\n")),
        "outcome": "ok",
        "usage": Usage(input=3, output=2, cache_read=1),
        "tries": 1,
        "seconds": 0.3,
    }
    return Exchange(**(given | more))  # type: ignore[arg-type]


def bodies(folder: Path) -> list[Path]:
    return sorted((folder / "model" / "bodies").rglob("*.zst"))


def test_an_exchange_comes_back_as_it_was(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    log.append(exchange(1), turn=2, dollars=0.25)
    (entry,) = ExchangeLog(tmp_path).entries()
    assert log.body(entry.request) == b'{"a": 1}'
    assert list(log.chunks(entry)) == [b"event: ", b"x\n\n"]
    assert (entry.turn, entry.dollars, entry.tokens, entry.counted) == (2, 0.25, 5, True)


def test_equal_bodies_are_kept_once_and_nothing_else_lies_there(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    log.append(exchange(1), 1, None)
    log.append(exchange(2), 1, None)
    assert len(bodies(tmp_path)) == 2  # request and reply
    assert not list((tmp_path / "model").rglob("*.tmp"))


def test_exchanges_are_told_in_order_of_arrival(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    for id in (2, 1, 3):
        log.append(exchange(id), 1, None)
    assert [entry.id for entry in log.entries()] == [1, 2, 3]


def test_a_line_that_a_crash_cut_off_is_left_out_and_removed(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    log.append(exchange(1), 1, None)
    path = tmp_path / "model" / "exchanges.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(log.entries()) == 1
    log.drop_torn_tail()
    assert path.read_bytes() == whole


def test_a_changed_line_or_body_is_not_believed(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    entry = log.append(exchange(1), 1, None)
    bodies(tmp_path)[0].write_bytes(b"not zstd")
    damaged = bodies(tmp_path)[0].stem
    assert damaged in (entry.request, entry.response)
    with pytest.raises(RecordInvalid):
        log.body(damaged)
    path = tmp_path / "model" / "exchanges.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(RecordInvalid, match="line 1"):
        log.entries()


def test_a_body_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("curation_harness.record.exchanges.MAX_BODY", 1000)
    log = ExchangeLog(tmp_path)
    entry = log.append(exchange(1, request=b"0" * 100_000), 1, None)
    with pytest.raises(RecordInvalid):
        log.body(entry.request)


def test_only_what_went_to_the_provider_counts(tmp_path: Path):
    log = ExchangeLog(tmp_path)
    counted = {
        outcome: log.append(exchange(id, outcome=outcome), 1, None).counted
        for id, outcome in enumerate(("ok", "refused", "budget", "provider-error", "cut", "client-gone"), start=1)
    }
    assert counted == {
        "ok": True,
        "refused": False,
        "budget": False,
        "provider-error": True,
        "cut": True,
        "client-gone": True,
    }
    assert not log.append(exchange(9, kind="count"), 1, None).counted
    assert not log.append(exchange(10, outcome="client-gone", sent=None), 1, None).counted
