"""The submit server where a reply takes long, and its endpoints for reproductions, histories and method cards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from curation_sandbox.protocol import Accepted, Checking, SubmitReply, SubmitRequest
from curation_sandbox.submit_server import HandlerError
from submit_bench import Bench, BenchHandler, bench


class Checker(BenchHandler):
    """Runs every policy again first, for as long as the test says; knows a reply by its key."""

    def __init__(self) -> None:
        super().__init__()
        self.running: str | None = None
        self.replies: dict[str, SubmitReply] = {}
        self.failed = False
        self.asked = 0

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        self.asked += 1
        if request.key in self.replies:
            return self.replies[request.key]
        if self.running not in (None, request.key):
            raise HandlerError(409, "busy", "another policy is being run")
        self.running = request.key
        return Checking(key=request.key)

    def submitted(self, key: str) -> SubmitReply | None:
        if self.failed:
            raise HandlerError(500, "ours", "the policy could not be run; that is no fault of yours")
        return Checking(key=key) if self.running == key else self.replies.get(key)

    def settle(self) -> None:
        assert self.running is not None
        self.replies[self.running] = Accepted(attempt=1, rows=2)
        self.running = None


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[tuple[Bench, Checker]]:
    handler = Checker()
    with bench(tmp_path, handler=handler) as made:
        yield made, handler


def test_a_submission_that_is_being_checked_is_202_until_it_is_settled(checked: tuple[Bench, Checker]) -> None:
    served, handler = checked
    with served.client() as client:
        request = served.submission(client)
        first = client.post("/v1/submissions", json=request)
        assert (first.status_code, first.json()) == (202, {"outcome": "checking", "key": "key-00000001"})
        assert client.post("/v1/submissions?wait=0.05", json=request).status_code == 202
        handler.settle()
        for _ in range(2):
            done = client.post("/v1/submissions", json=request)
            assert (done.status_code, done.json()["outcome"]) == (201, "accepted")


def test_a_wait_ends_with_the_check(checked: tuple[Bench, Checker]) -> None:
    served, handler = checked
    with served.client() as client:
        request = served.submission(client)
        timer = threading.Timer(0.2, handler.settle)
        timer.start()
        began = time.monotonic()
        assert client.post("/v1/submissions?wait=9", json=request).status_code == 201
        assert time.monotonic() - began < 8
        timer.join()


def test_who_submits_while_another_waits_is_told_busy_and_need_not_wait(checked: tuple[Bench, Checker]) -> None:
    served, handler = checked
    with served.client() as client:
        request = served.submission(client)
        waiting = threading.Thread(target=post, args=(served, request))
        waiting.start()
        while handler.running is None:
            time.sleep(0.01)
        other = client.post("/v1/submissions", json={**request, "key": "another-key"}, timeout=3)
        assert (other.status_code, other.json()["error"]) == (409, "busy")
        handler.settle()
        waiting.join()


def post(served: Bench, request: dict[str, Any]) -> None:
    with served.client() as client:
        client.post("/v1/submissions?wait=9", json=request)


def test_a_key_in_use_is_not_taken_for_other_content(checked: tuple[Bench, Checker]) -> None:
    served, handler = checked
    with served.client() as client:
        request = served.submission(client)
        client.post("/v1/submissions", json=request)
        other = client.post("/v1/submissions", json={**request, "note": "other"})
        assert (other.status_code, other.json()["error"]) == (400, "bad-request")
        handler.settle()
        assert client.post("/v1/submissions", json=request).status_code == 201
        assert client.post("/v1/submissions", json={**request, "note": "other"}).status_code == 400


def test_a_check_that_we_fail_on_is_ours(checked: tuple[Bench, Checker]) -> None:
    served, handler = checked
    with served.client() as client:
        request = served.submission(client)
        client.post("/v1/submissions", json=request)
        handler.failed = True
        reply = client.post("/v1/submissions?wait=5", json=request)
        assert (reply.status_code, reply.json()["error"]) == (500, "ours")
    assert not served.errors


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("served")
    handler = BenchHandler()
    handler.given = folder / "loss.jsonl"
    handler.given.write_bytes(b'{"row": 3, "value": 0.5}\n' * 50_000)
    with bench(folder, handler=handler) as made:
        yield made


def test_a_history_comes_byte_for_byte(shared: Bench) -> None:
    with shared.client() as client:
        (file,) = client.get("/v1/history").json()["files"]
        reply = client.get("/v1/history/" + file["path"])
        assert reply.headers["curation-protocol"] == "1"
        assert len(reply.content) == file["size"]
        assert reply.content == shared.handler.given.read_bytes()


@pytest.mark.parametrize(
    "path",
    ["../run.json", "%2e%2e/run.json", "..%2frun.json", "/etc/passwd", "signals", "signals/loss.jsonl/", "%00"],
)
def test_no_other_file_is_served(shared: Bench, path: str) -> None:
    with shared.client() as client:
        reply = client.get("/v1/history/" + path)
    assert reply.status_code in (400, 404)
    assert reply.json()["error"] in ("not-found", "bad-request")


def test_methods_are_listed_and_read(shared: Bench) -> None:
    with shared.client() as client:
        listed = client.get("/v1/methods", params={"family": "gradient", "search": "ünï words"}).json()
        assert listed["methods"][0]["family"] == "gradient"
        assert listed["methods"][0]["summary"] == "ünï words"
        assert client.get("/v1/methods/semdedup").json() == {"id": "semdedup", "card": {"id": "semdedup"}}


@pytest.mark.parametrize("path", ["methods/../task", "methods/A", "methods/a%0Ab", "methods?search=" + 300 * "x"])
def test_odd_names_of_methods_are_refused(shared: Bench, path: str) -> None:
    with shared.client() as client:
        reply = client.get("/v1/" + path.replace("../", "%2e%2e%2f"))
    assert reply.status_code in (400, 404)


def test_a_reproduction_is_asked_for_with_the_policys_bytes(shared: Bench) -> None:
    with shared.client() as client:
        request = shared.submission(client)
        asked = client.post("/v1/reproductions", json={"data": request["data"], "policy": request["policy"]})
        assert asked.json()["state"] == "working"
        assert shared.handler.policy == {"policy.py": b"print('policy')\n"}
        assert client.get("/v1/reproductions/again?wait=5").json()["ok"] is True
        assert client.get("/v1/reproductions/other").status_code == 404
