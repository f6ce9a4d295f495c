"""A small handler behind a real submit server, and ways to talk to it: properly (httpx) and rudely (raw bytes)."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from curation_sandbox.blobs import BlobStore
from curation_sandbox.protocol import (
    Accepted,
    AttemptView,
    Budget,
    CheckReply,
    Duplicate,
    Feedback,
    History,
    HistoryFile,
    MethodLine,
    MethodList,
    MethodView,
    Problem,
    ReferenceScore,
    Refused,
    ReproduceRequest,
    ReproductionView,
    Score,
    SignalInfo,
    SignalView,
    Status,
    SubmitReply,
    SubmitRequest,
    TaskView,
)
from curation_sandbox.submit_server import HandlerError, KeptReply, Limits, SubmitServer

QUICK = Limits(
    header_seconds=0.3,
    idle_seconds=0.3,
    body_seconds=0.8,
    keep_alive_seconds=1,
    poll_seconds=0.02,
    connections=16,
    requests_per_second=5000,
    burst=20000,
    stop_seconds=2,
)
"""Limits under which an attack is over in a fraction of a second."""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class BenchHandler:
    """Accepts what is made of whole numbers below 100, up to two attempts; a Refused for everything else."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts: list[AttemptView] = []
        self.contents: dict[str, int] = {}
        self.refusals = 0
        self.over = False
        self.submits = 0
        self.at_once = 0
        self.most_at_once = 0
        self.submit_seconds = 0.0
        self.policy: dict[str, bytes] = {}
        self.given = Path()
        """The one file of the history."""
        self.broken: str | None = None
        """Set: every question fails with this text."""

    def task(self) -> TaskView:
        if self.broken is not None:
            raise RuntimeError(self.broken)
        return TaskView(
            name="bench",
            title="A bench",
            brief="Choose rows.",
            rules="No rules.",
            kind="rows",
            rows_max=50,
            pool_rows=100,
            max_bytes=2**20,
            iterations=2,
            benchmarks=("digits", "words"),
            signals=(SignalInfo(name="loss", description="how hard a row is", unit="nats"),),
            seed=7,
        )

    def status(self) -> Status:
        state = "over" if self.over else "working" if self._working() else "open"
        return Status(
            run_id="r1",
            state=state,  # type: ignore[arg-type]
            attempt=self._working(),
            budgets=(Budget(name="iterations", unit="attempts", limit=2, spent=len(self.attempts)),),
        )

    def _working(self) -> int | None:
        return next((view.n for view in self.attempts if view.state == "training"), None)

    def check(self, data: Path) -> CheckReply:
        rows, problems = self._read(data)
        return CheckReply(ok=not problems, rows=len(rows), problems=tuple(problems))

    def _read(self, data: Path) -> tuple[list[int], list[Problem]]:
        rows, problems = [], []
        for place, line in enumerate(data.read_text(errors="replace").splitlines(), 1):
            if line.isdecimal() and len(line) < 3:
                rows.append(int(line))
            else:
                problems.append(Problem(code="unknown-row", message="ids are 0 to 99", row=place))
        return rows, problems

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        with self.lock:
            self.submits += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(self.submit_seconds)
            return self._decide(request, data, policy)
        finally:
            with self.lock:
                self.at_once -= 1

    def _decide(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        self.policy = {name: path.read_bytes() for name, path in policy.items()}
        if request.data in self.contents:
            return Duplicate(attempt=self.contents[request.data])
        if self.over:
            raise HandlerError(410, "run-over", "the run is over.")
        if self._working():
            raise HandlerError(409, "busy", "attempt 1 is being trained: curate wait 1.")
        if len(self.attempts) >= 2:
            raise HandlerError(403, "budget-spent", "both iterations are spent.")
        rows, problems = self._read(data)
        if problems or not policy:
            self.refusals += 1
            return Refused(refusal=self.refusals, problems=tuple(problems), refusals_left=10 - self.refusals)
        n = len(self.attempts) + 1
        self.attempts.append(AttemptView(n=n, state="training", rows=len(rows)))
        self.contents[request.data] = n
        return Accepted(attempt=n, rows=len(rows))

    def finish(self, n: int, failure: str | None = None) -> None:
        """Let attempt ``n`` end."""
        update: dict[str, Any] = {"state": "scored", "feedback": FEEDBACK}
        if failure is not None:
            update = {"state": "failed", "failure": failure}
        self.attempts[n - 1] = self.attempts[n - 1].model_copy(update=update)

    def submitted(self, key: str) -> SubmitReply | None:
        return None

    def reproduce(self, request: ReproduceRequest, data: Path, policy: Mapping[str, Path]) -> ReproductionView:
        self.policy = {name: path.read_bytes() for name, path in policy.items()}
        return ReproductionView(id="again", state="working")

    def reproduction(self, id: str) -> ReproductionView | None:
        if id != "again":
            return None
        return ReproductionView(id=id, state="ready", ok=True, seconds=0.5, functions=("policy.py:<module>",))

    def methods(self, family: str | None, search: str | None) -> MethodList:
        line = MethodLine(id="semdedup", title="SemDeDup", family=family or "selection", summary=search or "copies")
        return MethodList(methods=(line,), families=("selection",))

    def method(self, id: str) -> MethodView:
        return MethodView(id=id, card={"id": id})

    def history_files(self) -> tuple[HistoryFile, ...]:
        return (HistoryFile(path="signals/loss.jsonl", size=self.given.stat().st_size),)

    def history_file(self, path: str) -> Path | None:
        return self.given if path == "signals/loss.jsonl" else None

    def attempt(self, n: int) -> AttemptView | None:
        return self.attempts[n - 1] if n <= len(self.attempts) else None

    def history(self) -> History:
        return History(attempts=tuple(self.attempts), refusals=self.refusals)

    def signal(self, name: str, rows: Path, attempt: int | None) -> SignalView:
        if name != "loss":
            raise HandlerError(404, "not-found", "the task has no such signal; it has: loss.")
        return SignalView(id="s1", name=name, state="working", attempt=attempt)

    def signal_view(self, id: str) -> SignalView | None:
        if id != "s1":
            return None
        return SignalView(id="s1", name="loss", state="ready", rows=(3, 4), values=(0.5, None))

    def done(self) -> Status:
        self.over = True
        return self.status()


FEEDBACK = Feedback(
    mean=0.4,
    stderr=0.01,
    n=300,
    by_benchmark={
        "digits": Score(mean=0.5, stderr=0.02, n=150),
        "words": Score(mean=0.3, stderr=0.015, n=150),
    },
    references=(
        ReferenceScore(name="base", mean=0.2, sd=None, seeds=1),
        ReferenceScore(name="random", mean=0.35, sd=0.02, seeds=8),
    ),
    noise_floor=0.03,
    best_so_far=0.4,
    best_attempt=1,
    message="attempt 1 is the best so far.",
)


@dataclass
class Bench:
    """A running server with what stands behind it."""

    handler: BenchHandler
    blobs: BlobStore
    server: SubmitServer
    folder: Path
    errors: list[str] = field(default_factory=list)

    @property
    def socket_path(self) -> Path:
        return self.server.socket_path

    def client(self) -> httpx.Client:
        # verify=False only spares the loading of certificates that a Unix socket has no use for.
        transport = httpx.HTTPTransport(uds=str(self.socket_path), verify=False)
        return httpx.Client(transport=transport, base_url="http://harness", timeout=10, verify=False)

    def put(self, client: httpx.Client, data: bytes) -> str:
        reply = client.put(f"/v1/blobs/{sha(data)}", content=data)
        assert reply.status_code in (200, 201), reply.text
        return sha(data)

    def submission(self, client: httpx.Client, rows: bytes = b"1\n2\n", key: str = "key-00000001") -> dict[str, Any]:
        policy = self.put(client, b"print('policy')\n")
        files = [{"path": "policy.py", "blob": policy}]
        return {"key": key, "data": self.put(client, rows), "policy": files, "note": "a note"}

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(5)
        made.connect(str(self.socket_path))
        return made

    def raw(self, data: bytes) -> bytes:
        """Send bytes, return all that comes until the server closes."""
        with self.connect() as made:
            with suppress(BrokenPipeError, ConnectionResetError):
                made.sendall(data)
            return read_all(made)

    def leftovers(self) -> list[str]:
        return [path.name for path in (self.folder / "store" / "incoming").iterdir()]

    def still_serves(self) -> bool:
        raw = self.raw(b"GET /v1/status HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        return raw.startswith(b"HTTP/1.1 200")


def read_all(made: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            block = made.recv(65536)
        except ConnectionResetError:
            return found
        if not block:
            return found
        found += block


def read_reply(made: socket.socket) -> bytes:
    """One whole reply of a connection that stays open: head and body may come apart."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += made.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += made.recv(65536)
    return head + b"\r\n\r\n" + body


def reply_of(raw: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and JSON body of a reply's bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


@contextmanager
def bench(
    folder: Path,
    limits: Limits = QUICK,
    *,
    max_blob: int = 1_000_000,
    max_total: int = 10_000_000,
    replies: MutableMapping[str, KeptReply] | None = None,
    handler: BenchHandler | None = None,
) -> Iterator[Bench]:
    handler = handler or BenchHandler()
    blobs = BlobStore(folder / "store", max_blob, max_total)
    errors: list[str] = []
    server = SubmitServer(folder / "sock", handler, blobs, limits, replies=replies, on_error=errors.append)
    with server:
        yield Bench(handler, blobs, server, folder, errors)


def until(condition: Any, seconds: float = 5.0) -> bool:
    """Wait until ``condition()`` holds; False where it never did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())
