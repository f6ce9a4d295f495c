"""A host in memory for agents' programs that speak to it over the real `curate` and the real submit server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import curation_sandbox
from curation_plugins.agents.programs import FOLDER
from curation_sandbox.blobs import BlobStore
from curation_sandbox.protocol import (
    Accepted,
    AttemptView,
    Budget,
    Checking,
    CheckReply,
    Duplicate,
    Feedback,
    History,
    HistoryFile,
    Problem,
    Refused,
    SignalInfo,
    SignalView,
    Status,
    SubmitReply,
    SubmitRequest,
    TaskView,
)
from curation_sandbox.submit_desk import HandlerError
from curation_sandbox.submit_server import SubmitServer

ROWS = 60
ROWS_MAX = 12
CURATE = Path(curation_sandbox.__file__).parent / "incontainer" / "curate.py"


def row_ids(data: Path) -> list[int]:
    return [int(line) for line in data.read_text().split()]


@dataclass
class Submission:
    """What the host got, as bytes."""

    rows: list[int]
    policy: dict[str, bytes]
    note: str


@dataclass
class Host:
    """A host in memory: scores by the share of even rows; fails and refuses as it is told."""

    iterations: int
    pool_rows: int = ROWS
    kind: Literal["rows", "uids"] = "rows"
    rows_max: int = ROWS_MAX
    read: Callable[[Path], list[int]] = row_ids
    """Rows of what is handed in."""
    signals: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    failing: frozenset[int] = frozenset()
    """Attempts that the harness fails at, and refunds."""
    refusing: bool = False
    checking: int = 0
    """How often a submission is answered with "still running the policy again"."""
    keys: list[str] = field(default_factory=list)
    raising: HandlerError | None = None
    """Raised by every submission."""
    refused_signals: HandlerError | None = None
    """Raised by every request for a signal."""
    submissions: list[Submission] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    finished: bool = False
    bought: Path | None = None
    """Folder of what was measured; made with the first signal."""

    def task(self) -> TaskView:
        return TaskView(
            name="made",
            title="made",
            brief="",
            rules="",
            kind=self.kind,
            rows_max=self.rows_max,
            max_bytes=2**20,
            pool_rows=self.pool_rows,
            iterations=self.iterations,
            benchmarks=("one",),
            signals=tuple(SignalInfo(name=n, description="", unit="") for n in self.signals),
            seed=11,
        )

    def status(self) -> Status:
        made = len(self.submissions)
        refunded = sum(n <= made for n in self.failing)
        over = self.finished or made - refunded >= self.iterations
        return Status(
            run_id="r",
            state="over" if over else "open",
            attempt=None,
            budgets=(
                Budget(
                    name="iterations",
                    unit="attempts",
                    limit=self.iterations,
                    spent=made,
                    refunded=refunded,
                ),
            ),
        )

    def check(self, data: Path) -> CheckReply:
        raise NotImplementedError

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        if self.raising is not None:
            raise self.raising
        self.keys.append(request.key)
        if self.checking:
            self.checking -= 1
            return Checking(key=request.key)
        if self.refusing:
            problem = Problem(code="no", message="not this one")
            return Refused(refusal=1, problems=(problem,), refusals_left=9)
        if self.status().state == "over":
            raise HandlerError(409, "run-over", "the run is over")
        rows = self.read(data)
        for n, earlier in enumerate(self.submissions, start=1):
            if earlier.rows == rows:
                return Duplicate(attempt=n)
        files = {name: path.read_bytes() for name, path in policy.items()}
        self.submissions.append(Submission(rows, files, request.note))
        return Accepted(attempt=len(self.submissions), rows=len(rows))

    def submitted(self, key: str) -> SubmitReply | None:
        return Accepted(attempt=1, rows=1)

    def attempt(self, n: int) -> AttemptView | None:
        rows = self.submissions[n - 1].rows
        if n in self.failing:
            return AttemptView(n=n, state="failed", rows=len(rows), failure="a worker died")
        feedback = Feedback(
            mean=sum(row % 2 == 0 for row in rows) / len(rows),
            stderr=0.01,
            n=100,
            by_benchmark=None,
            references=(),
            noise_floor=None,
            best_so_far=1.0,
            best_attempt=1,
            message="so it is",
        )
        return AttemptView(n=n, state="scored", rows=len(rows), feedback=feedback)

    def history(self) -> History:
        return History(attempts=(), refusals=0)

    def history_files(self) -> tuple[HistoryFile, ...]:
        assert self.bought is not None
        found = sorted(path for path in self.bought.rglob("*") if path.is_file())
        return tuple(
            HistoryFile(path=path.relative_to(self.bought).as_posix(), size=path.stat().st_size) for path in found
        )

    def history_file(self, path: str) -> Path | None:
        assert self.bought is not None
        return self.bought / path

    def signal(self, name: str, rows: Path, attempt: int | None) -> SignalView:
        self.asked.append(name)
        if self.refused_signals is not None:
            raise self.refused_signals
        asked = tuple(int(line) for line in rows.read_text().split())
        values = tuple(self.signals[name][row] for row in asked)
        self.bought = Path(tempfile.mkdtemp(prefix="bought-", dir=rows.parent))
        (self.bought / "signals").mkdir()
        lines = (json.dumps({"row": row, "value": value}) for row, value in zip(asked, values, strict=True))
        (self.bought / "signals" / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return SignalView(id="s1", name=name, state="ready", rows=asked, values=values)

    def signal_view(self, signal_id: str) -> SignalView | None:
        raise NotImplementedError

    def done(self) -> Status:
        self.finished = True
        return self.status()


@dataclass
class Seat:
    """Where the program sits: pool, workspace, and a socket to a host."""

    pool: Path
    workspace: Path
    sockets: Path

    def run(self, host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
        store = BlobStore(self.sockets / "blobs", max_blob=2**20, max_total=2**26)
        with SubmitServer(self.sockets, host, store) as server:
            return subprocess.run(
                [
                    *(sys.executable, "-P", "-m", "baseline", *arguments),
                    *("--curate", f"{sys.executable} {CURATE}", "--pool", str(self.pool)),
                ],
                cwd=self.workspace,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(FOLDER),
                    "CURATION_SOCKET": str(server.socket_path),
                    "OMP_NUM_THREADS": "1",
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
