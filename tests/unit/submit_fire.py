"""The submit server under fire: requests that schemathesis draws from the protocol's own OpenAPI document, right and
wrong ones, sent to a real server with a real run behind it, each reply held to the document. Each is sent four times:
as drawn, again, and twice with its bytes hurt on the wire.

    .venv/bin/python tests/unit/submit_fire.py --requests 100000

Prints what came of it as JSON; exits with 1 at the first reply that should not be, and says which request it was.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import BaseSchema, Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from curation_harness.record.store import RunRecord
from fire_wire import Reply, Wire, bytes_of, hurt, send_hurt
from record_damage import record_damage

TESTS: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = TESTS.parent / "docs" / "submit-protocol.openapi.json"
SERVER: Final = Path(__file__).with_name("submit_fire_server.py")
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
GROWTH: Final = 128 * 2**20
"""Bytes that the server may grow by between its first hundreds of requests and the last: what one request may hold, a
few times over, and the kept replies."""
HURT: Final = 2
"""How often each request is sent once more with its bytes hurt."""
MOST_HURTING: Final = 16
"""Hurt requests under way at a time, while whole ones go on."""


@dataclass
class Fire:
    """A server to shoot at, and what came of it so far."""

    process: psutil.Process
    socket: str
    record: Path
    folder: Path
    rng: random.Random
    known: list[str] = field(default_factory=list)
    """Digests that the server has bytes of."""
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    progress: Callable[[str], object] = field(default=lambda line: None)
    sent: int = 0
    unanswered: int = 0
    """Hurt requests whose end the server still waited for when they were given up, or that got no reply."""
    hurt_answered: int = 0
    reconnected: int = 0
    sizes: list[int] = field(default_factory=list)
    """Resident bytes of the server, every so often."""

    def __post_init__(self) -> None:
        self._wire = Wire(self.socket)
        self._threads = ThreadPoolExecutor(MOST_HURTING)
        self.hurting: deque[Future[tuple[bytes, Reply | None]]] = deque()

    def shoot(self, case: Case) -> None:
        """Send one request and hold its reply to the document; then again, then hurt."""
        self._aim(case)
        prepared = requests.Request(**_kept(case.as_transport_kwargs(base_url="http://harness"))).prepare()
        response = self._send(prepared)
        if response.status_code in (200, 201) and case.method.upper() == "PUT":
            self.known.append(json.loads(response.content)["digest"])
        case.validate_response(response, checks=CHECKS)
        self._look(response.status_code, response.headers, response.content)
        told = self._outcome(response)
        again = self._send(prepared)
        case.validate_response(again, checks=CHECKS)
        if told is not None:
            assert again.content == response.content, (response.content, again.content)
        self._look(again.status_code, again.headers, again.content)
        for _ in range(HURT):
            self.hurting.append(self._threads.submit(send_hurt, self.socket, hurt(bytes_of(prepared), self.rng)))
        self.collect(MOST_HURTING)

    def collect(self, left: int = 0) -> None:
        """Look at what came of hurt requests, until no more than this many are under way."""
        while len(self.hurting) > left:
            data, found = self.hurting.popleft().result()
            if found is None:
                self.sent += 1
                self.unanswered += 1
                continue
            status, headers, body = found
            # a second request, or none, may be what is left of the bytes: only what holds of every reply is asked
            assert status < 500, (status, body, data)
            self.hurt_answered += 1
            self._look(status, headers, body)

    def close(self) -> None:
        self.collect()
        self._wire.close()
        self._threads.shutdown()

    def _outcome(self, response: Response) -> str | None:
        """Of a submission that was taken or refused: its reply is the same for ever."""
        if response.content[:1] != b"{":
            return None
        found: str | None = json.loads(response.content).get("outcome")
        return found

    def _look(self, status: int, headers: Mapping[str, Sequence[str]], body: bytes) -> None:
        """What holds of every reply."""
        self.sent += 1
        if self.sent // 100 > len(self.sizes):
            self.sizes.append(self.process.memory_info().rss)
            if len(self.sizes) % 20 == 0:
                self.progress(f"{self.sent} requests, {self.sizes[-1] / 2**20:.0f} MiB")
        text = body.decode()
        assert headers.get("curation-protocol") == ["1"], (status, headers, text[:500])
        for inner in ("Traceback", str(self.folder)):
            assert inner not in text, f"{inner} in a reply: {text[:500]}"
        self.statuses[status] += 1
        told = json.loads(text) if text[:1] == "{" else {}
        self.errors.update([told["error"]] if "error" in told else [])
        self.outcomes.update([told["outcome"]] if "outcome" in told else [])

    def _aim(self, case: Case) -> None:
        """Name things that exist in most of the requests that are right; digests drawn at random are never known."""
        if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE or self.rng.random() < 0.3:
            return
        if isinstance(case.path_parameters, dict) and "n" in case.path_parameters:
            case.path_parameters["n"] = self.rng.randrange(1, 5)
        if isinstance(case.path_parameters, dict) and "digest" in case.path_parameters:
            case.body = self._bytes()
            case.path_parameters["digest"] = hashlib.sha256(case.body).hexdigest()
        if isinstance(case.body, dict):
            for name in ("data", "rows"):
                if name in case.body:
                    case.body[name] = self._digest()
            if isinstance(case.body.get("policy"), list):
                case.body["policy"] = [{"path": "policy.py", "blob": self._digest()}] * (self.rng.random() < 0.9)
            if case.body.get("name") and "rows" in case.body:
                case.body["name"] = self.rng.choice(["residual", "vector", "other"])

    def _bytes(self) -> bytes:
        """A selection that is right, nearly right, or not at all."""
        rows = [str(self.rng.randrange(400)) for _ in range(self.rng.randrange(1, 60))]
        wrong = self.rng.random()
        if wrong < 0.3:
            rows.append(
                self.rng.choice(["-1", "999999", "x", "1.5", '{"row": 1}', '{"row": 1, "weight": 2}', "\x00"])
            )
        return "\n".join(dict.fromkeys(rows)).encode() + (self.rng.randbytes(20) if wrong > 0.9 else b"\n")

    def _digest(self) -> str:
        return self.rng.choice(self.known) if self.known else "0" * 64

    def _send(self, prepared: requests.PreparedRequest) -> Response:
        began = time.monotonic()
        try:
            status, headers, body = self._wire.exchange(bytes_of(prepared))
        except (http.client.HTTPException, OSError):  # closed after the last reply
            self._wire.close()
            self.reconnected += 1
            status, headers, body = self._wire.exchange(bytes_of(prepared))
        return Response(status, headers, body, prepared, time.monotonic() - began, verify=False)

    def result(self) -> dict[str, Any]:
        first = self.sizes[min(len(self.sizes) - 1, 5)]
        return {
            "requests": self.sent,
            "of these hurt and answered": self.hurt_answered,
            "of these hurt and given up": self.unanswered,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "errors": dict(self.errors.most_common()),
            "outcomes": dict(self.outcomes.most_common()),
            "reconnected": self.reconnected,
            "server MiB at 600 requests": round(first / 2**20, 1),
            "server MiB at the end": round(self.sizes[-1] / 2**20, 1),
            "server MiB at most": round(max(self.sizes) / 2**20, 1),
        }

    def grown(self) -> int:
        """Bytes that the server grew by after its first hundreds of requests."""
        return max(self.sizes) - self.sizes[min(len(self.sizes) - 1, 5)]


def _kept(given: dict[str, Any]) -> dict[str, Any]:
    """What makes up a request, of what ``requests`` takes to send one."""
    names = ("method", "url", "headers", "params", "data", "json", "cookies")
    return {name: given[name] for name in names if name in given}


@contextmanager
def under_fire(folder: Path, seed: int = 0) -> Iterator[Fire]:
    """A server in a process of its own; afterwards it has ended in order."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(SERVER), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        fire = Fire(psutil.Process(process.pid), told["socket"], Path(told["record"]), folder, random.Random(seed))
        yield fire
        fire.close()
        process.stdin.close()
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        process.wait()


def shoot(fire: Fire, count: int, *, done: bool, backend: str) -> None:
    """Send this many requests.

    Args:
        done: whether ``POST /v1/done`` is among them; all submissions after it are refused.
        backend: hypothesis's; its own tries to vary and repeats itself, ``hypothesis-urandom`` only draws.
    """
    end = fire.sent + count
    drawn = count // (2 + HURT)
    cases = [case for of_one in operations(done=done).values() for case in of_one]

    @settings(
        max_examples=max(1, drawn),
        deadline=None,
        database=None,
        derandomize=backend == "hypothesis",
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        backend=backend,
    )
    @given(case=st.one_of(cases))
    def each(case: Case) -> None:
        fire.shoot(case)

    while fire.sent < end:
        each()
        fire.collect()


def document() -> BaseSchema:
    return schemathesis.openapi.from_path(str(DOCUMENT))


def operations(*, done: bool) -> dict[str, list[st.SearchStrategy[Case]]]:
    """Requests that are right, and wrong where they can be, by method and path."""
    found = {}
    for operation in (result.ok() for result in document().get_all_operations()):
        if operation.path == "/v1/done" and not done:
            continue
        # submissions are what most can go wrong with
        often = 6 if operation.path in ("/v1/submissions", "/v1/blobs/{digest}") else 1
        cases = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)] * often
        if operation.path != "/v1/history/{path}" and (operation.body or any(operation.iter_parameters())):
            cases.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        found[operation.label] = cases
    return found


def damage(folder: Path, record: Path) -> list[str]:
    """What is not as it should be after the server's end."""
    found = [f"our failure: {line}" for line in (folder / "errors.txt").read_text().splitlines()]
    return found + record_damage(RunRecord.open_run(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fire-") as name:
        with under_fire(Path(name), seed=given.requests) as fire:
            fire.progress = lambda line: sys.stderr.write(line + "\n")
            began = time.monotonic()
            last = given.requests // 10
            shoot(fire, given.requests - last, done=False, backend="hypothesis-urandom")
            shoot(fire, last, done=True, backend="hypothesis-urandom")
            seconds = time.monotonic() - began
        found = damage(fire.folder, fire.record)
        sys.stdout.write(json.dumps({**fire.result(), "seconds": round(seconds), "damage": found}, indent=1) + "\n")
    sys.exit(bool(found) or fire.grown() > GROWTH)


if __name__ == "__main__":
    main()
