"""A short fire from the protocol's own document; the long one is a command: ``submit_fire.py``."""

from __future__ import annotations

import random
from pathlib import Path

import submit_fire
from fire_wire import hurt
from submit_fire import GROWTH, damage, shoot, under_fire


def test_drawn_replayed_and_hurt_requests_break_nothing(tmp_path: Path) -> None:
    with under_fire(tmp_path) as fire:
        shoot(fire, 440, done=False, backend="hypothesis")
        shoot(fire, 60, done=True, backend="hypothesis")
    assert damage(fire.folder, fire.record) == []
    assert fire.sent >= 500
    assert fire.grown() < GROWTH
    # it got deep, and it missed: else a server that says the same to everything would pass
    assert fire.outcomes["accepted"] + fire.outcomes["refused"] > 0, fire.result()
    assert {"bad-request", "not-found", "unknown-blob"} <= set(fire.errors), fire.result()
    assert fire.hurt_answered > 50


def test_hurting_leaves_bytes_that_differ() -> None:
    rng = random.Random(0)
    data = b"GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n"
    assert sum(hurt(data, rng) != data for _ in range(200)) > 150


def test_every_operation_of_the_document_is_fired_at() -> None:
    operations = submit_fire.document().get_all_operations()
    assert set(submit_fire.operations(done=True)) == {result.ok().label for result in operations}
