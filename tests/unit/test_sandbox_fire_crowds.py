"""Many connections that submit at once before a real run: attempts are made one at a time, none twice, none lost."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from curation_harness.record.state import ledger
from curation_harness.run.loop import RunLoop
from curation_sandbox.blobs import BlobStore
from curation_sandbox.submit_server import SubmitServer
from record_damage import record_damage
from submit_bench import QUICK, Bench, until

CROWD: Final = 12
"""Connections at a time; the limit is 16."""


@pytest.fixture
def served(open_loop: Any, tmp_path: Path) -> Callable[..., Any]:
    """A run loop and its server; afterwards the record is whole and the server has told of no failure of ours."""

    @contextmanager
    def opened(*settings: str) -> Iterator[tuple[RunLoop, Bench]]:
        with open_loop("recipe.epochs=1", *settings) as loop:
            blobs = BlobStore(loop.record.folder / "blobs", 2**20, 2**24)
            errors: list[str] = []
            with SubmitServer(tmp_path / "s", loop.handler, blobs, QUICK, on_error=errors.append) as server:
                yield loop, Bench(None, blobs, server, tmp_path, errors)  # type: ignore[arg-type]
                loop.work_through()
            assert errors == []
            assert record_damage(loop.record) == []

    return opened


def together(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each returned; all begin at the same moment."""
    start = threading.Barrier(len(acts))

    def begun(act: Callable[[], Any]) -> Any:
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(begun, acts))


def once(bench: Bench, data: bytes, key: str) -> tuple[int, dict[str, Any]]:
    """Status and body of the reply."""
    with bench.client() as client:
        reply = client.post("/v1/submissions", json=bench.submission(client, data, key))
        return reply.status_code, reply.json()


def patient(loop: RunLoop, bench: Bench, data: bytes, number: int) -> tuple[int, dict[str, Any]]:
    """Repeated while another's attempt is under way."""
    while True:
        status, reply = once(bench, data, f"crowd-{number:04d}")
        if status != 409:
            return status, reply
        until(lambda: loop.handler.unfinished() is None)


def rows(number: int) -> bytes:
    return "".join(f"{row}\n" for row in range(number + 1)).encode()


def test_a_crowd_with_different_content_gets_each_iteration_once(served):
    """Every one repeats until it is accepted or the iterations are spent."""
    with served("budgets.iterations=3") as (loop, bench):
        replies = together(
            [lambda number=number: patient(loop, bench, rows(number), number) for number in range(CROWD)]
        )
        assert Counter(status for status, _ in replies) == {201: 3, 403: CROWD - 3}
        assert sorted(reply["attempt"] for status, reply in replies if status == 201) == [1, 2, 3]
        loop.work_through()
        assert ledger(loop.record).iterations == 3


def test_a_crowd_with_one_key_gets_one_attempt_and_one_reply(served):
    with served() as (loop, bench):
        with bench.client() as client:
            request = bench.submission(client, rows(20))
        body = json.dumps(request).encode()
        head = f"POST /v1/submissions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n"
        raw = f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode() + body
        replies = together([lambda: bench.raw(raw) for _ in range(CROWD)])
        assert len(set(replies)) == 1
        assert replies[0].startswith(b"HTTP/1.1 201")
        loop.work_through()
        assert bench.raw(raw) == replies[0]  # also after its end
        assert len(loop.record.submissions()) == ledger(loop.record).iterations == 1


def test_a_crowd_with_one_content_and_different_keys_gets_one_attempt(served):
    with served() as (loop, bench):
        replies = together([lambda number=number: patient(loop, bench, rows(20), number) for number in range(CROWD)])
        assert Counter(status for status, _ in replies) == {201: 1, 200: CROWD - 1}
        assert {reply["attempt"] for _, reply in replies} == {1}


def test_a_crowd_with_one_key_and_different_content_gets_one_attempt(served):
    with served() as (loop, bench):
        acts = [lambda number=number: once(bench, rows(number), "one-key-for-all")[0] for number in range(CROWD)]
        assert Counter(together(acts)) == {201: 1, 400: CROWD - 1}
        loop.work_through()
        assert len(loop.record.submissions()) == 1


def test_a_crowd_that_ends_the_run_while_it_submits_leaves_one_order(served):
    """An attempt that was accepted before the end is carried out; what came after the end was told so."""
    with served() as (loop, bench):

        def ends() -> int:
            with bench.client() as client:
                return client.post("/v1/done").status_code

        acts = [
            lambda number=number: once(bench, rows(number), f"key-{number:06d}")[0] for number in range(CROWD - 1)
        ]
        replies = together([ends, *acts])
        assert replies[0] == 200
        assert set(replies[1:]) <= {201, 409, 410}
        loop.work_through()
        assert [result.status for result in loop.record.results()] == ["scored"] * replies.count(201)
