"""The host's end of one worker process: start it, give it a job, hold it to its limits, end it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from curation_plugins.api import Progress
from curation_plugins.config import WorkerLimits
from curation_plugins.errors import (
    WorkerCrashed,
    WorkerDiskFull,
    WorkerOutOfMemory,
    WorkerOverdue,
    WorkerRaised,
    WorkerReplyInvalid,
    WorkerTimeout,
    WorkFailed,
)
from curation_plugins.jobs import Role, WorkerSpec
from curation_plugins.workers import answers
from curation_plugins.workers.group import TOKEN, ProcessGroup, kernel_kills
from curation_sandbox import owners
from curation_sandbox.spec import format_size

CHILD: Final = Path(__file__).with_name("child.py")
GUARD: Final = Path(__file__).with_name("guard.py")

INHERITED: Final = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "HF_HOME",
    "TORCH_HOME",
    "XDG_CACHE_HOME",
)
"""All that a worker gets of the host's environment, but for what its spec names. API keys and the like stay with the
harness."""

POLL_SECONDS = 0.25
"""How often limits are checked."""

LOG_LINES = 12
"""Last lines of the log that an error message repeats."""

DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

ResultT = TypeVar("ResultT", bound=BaseModel)


@dataclass(frozen=True)
class Timing:
    """What is worth recording about one job."""

    python: str
    """Version of the worker's interpreter."""
    seconds: float
    """From the request to the result."""
    start_seconds: float
    """Of these, importing and constructing the worker's class; about 0 when it was warm."""


class WorkerProcess:
    """One running worker. After an error has been raised it is of no more use: ``kill`` it."""

    def __init__(self, spec: WorkerSpec, environment: Mapping[str, str], log: Path) -> None:
        """Start it. ``environment`` is the slot's; stdout and stderr are appended to ``log``.

        Raises:
            WorkerCrashed: the interpreter cannot be run.
        """
        self.spec = spec
        self._log = log
        self._jobs = 0
        self._lines = answers.LineBuffer()
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{owners.TEMPORARY}worker-"))
        owners.mark(self._scratch)  # for `harness clean`, where nobody was left to remove it
        self.busy = False
        token = secrets.token_hex(8)
        jobs_read, self._jobs_fd = os.pipe()
        self._answers_fd, answers_write = os.pipe()
        try:
            self._process = self._start(jobs_read, answers_write, {**environment, TOKEN: token})
            self._group = ProcessGroup(self._process.pid, token)
            self._guard = self._start_guard(jobs_read)
        except OSError as error:
            self._close_own()
            raise WorkerCrashed(
                f"the worker's interpreter {self._interpreter()} could not be started: {error}",
                hint="The task names this interpreter; make it, or correct the task's settings.",
            ) from None
        finally:
            os.close(jobs_read)
            os.close(answers_write)
        os.set_blocking(self._jobs_fd, False)
        os.set_blocking(self._answers_fd, False)

    def _interpreter(self) -> str:
        return str(self.spec.interpreter or sys.executable)

    def _start(self, jobs_read: int, answers_write: int, added: Mapping[str, str]) -> subprocess.Popen[bytes]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        channel = ["--jobs", str(jobs_read), "--answers", str(answers_write)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._interpreter(), str(CHILD), "--entry", self.spec.entry, *channel],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
                env=self._environment(added),
                pass_fds=(jobs_read, answers_write),
                start_new_session=True,  # a group of its own, and a terminal's Ctrl-C does not reach it
            )

    def _start_guard(self, jobs_read: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", str(GUARD), str(jobs_read)]
        return subprocess.Popen(
            [*command, str(self._group.leader), self._group.mark, str(self._scratch)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            pass_fds=(jobs_read,),
            start_new_session=True,
        )

    def _environment(self, added: Mapping[str, str]) -> dict[str, str]:
        fixed = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONUTF8": "1",
            "PYTHONPATH": os.pathsep.join(str(folder) for folder in self.spec.python_path),
            "TMPDIR": str(self._scratch),  # what a killed worker leaves there goes with it
        }
        names = (*INHERITED, *self.spec.inherited)
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        return {**inherited, **fixed, **added, **self.spec.environment}

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """Whether it still runs. It is not waited for here: its number stays ours until ``kill``."""
        if self._process.returncode is not None:
            return False
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is None

    def idle(self) -> bool:
        """Whether it can take a job: it runs and has said nothing unasked."""
        return self.alive() and not self._lines.pending and not self._readable(0)

    def call(
        self, role: Role, job: BaseModel, result: type[ResultT], limits: WorkerLimits, progress: Progress
    ) -> tuple[ResultT, Timing]:
        """Do one job.

        Raises:
            WorkFailed: a subclass says how it failed.
        """
        self._jobs += 1
        self.busy = True
        work = _Job(self, self._jobs, role, limits, progress)
        payload = job.model_dump_json()
        request = f'{{"job": {self._jobs}, "role": "{role}", "arguments": {payload}}}\n'
        answer = work.run(request.encode())
        try:
            checked = result.model_validate(answer)
        except ValidationError as error:
            work.fail(WorkerReplyInvalid, f"answered what is no {result.__name__}: {answers.explain(error)}")
        self.busy = False
        return checked, Timing(work.python, time.monotonic() - work.begun, work.start_seconds)

    def close(self, patience: float = 3.0) -> None:
        """Ask it to end, give it ``patience`` seconds, then kill what is left. It may be called twice."""
        if not self.busy and self.alive():
            with contextlib.suppress(OSError):
                os.write(self._jobs_fd, b'{"close": true}\n')
                end = time.monotonic() + patience
                while self.alive() and time.monotonic() < end:
                    time.sleep(0.02)
        self.kill()

    def interrupt(self) -> None:
        """Kill its processes while another thread is in ``call``, which then raises and has to ``kill``."""
        self._group.kill()

    def kill(self) -> None:
        """End it and everything it started, now. It may be called twice."""
        if self._process.returncode is not None:
            return
        self._guard.kill()  # first: once the worker is waited for, its number may be somebody else's
        self._guard.wait()
        self._group.kill()
        self._process.wait()
        self._close_own()

    def _close_own(self) -> None:
        os.close(self._jobs_fd)
        os.close(self._answers_fd)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._answers_fd], [], [], seconds)[0])


class _Job:
    """One job under way."""

    def __init__(
        self, worker: WorkerProcess, number: int, role: Role, limits: WorkerLimits, progress: Progress
    ) -> None:
        self.begun = time.monotonic()
        self.python = ""
        self.start_seconds = 0.0
        self._worker = worker
        self._number = number
        self._role = role
        self._limits = limits
        self._progress = progress
        self._heard = self.begun
        self._checked = 0.0
        self._results: list[object] = []
        self._kernel_kills = kernel_kills()
        self._log_start = worker._log.stat().st_size

    def run(self, request: bytes) -> object:
        """Send the request, read until the job is ended, return its one result."""
        unsent = memoryview(request)
        while True:
            unsent, lines = self._exchange(unsent)
            for place, line in enumerate(lines, start=1):
                if self._take(line):
                    return self._only_result(left=len(lines) - place)
            self._check_limits()
            if not self._worker.alive() and not self._worker._readable(0):
                self._fail_dead()

    def _exchange(self, unsent: memoryview) -> tuple[memoryview, list[bytes]]:
        """Wait for something to read or to write; what is still unsent, and the lines that came."""
        worker = self._worker
        writers = [worker._jobs_fd] if unsent else []
        readable, writable, _ = select.select([worker._answers_fd], writers, [], POLL_SECONDS)
        if writable:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # a dead one is noticed below
                unsent = unsent[os.write(worker._jobs_fd, unsent) :]
        if not readable:
            return unsent, []
        data = os.read(worker._answers_fd, 2**16)
        if not data:  # end of file: it is about to end, or of no use
            time.sleep(POLL_SECONDS)
            self._fail_dead()
        try:
            return unsent, worker._lines.feed(data)
        except ValueError as error:
            self.fail(WorkerReplyInvalid, str(error))

    def _take(self, line: bytes) -> bool:
        """Act on one message; True when the job is ended."""
        try:
            answer = answers.parse(line)
        except ValueError as error:
            self.fail(WorkerReplyInvalid, f"sent what is no message: {str(error)[:500]}")
        if answer.job != self._number:
            self.fail(WorkerReplyInvalid, f"answered job {answer.job} when asked for {self._number}")
        self._heard = time.monotonic()
        match answer:
            case answers.Started():
                self.python, self.start_seconds = answer.python, answer.seconds
            case answers.Progressed():
                self._progress(answer.what, min(max(answer.done, 0.0), 1.0))
            case answers.Result():
                self._results.append(answer.result)
            case answers.Raised():
                self.fail(kind_of(answer), f"raised {answer.error}")
            case answers.Ended():
                return True
        return False

    def _only_result(self, left: int) -> object:
        if left or len(self._results) != 1:
            self.fail(
                WorkerReplyInvalid,
                f"gave {len(self._results)} results and {left} messages after its last for one job",
            )
        return self._results[0]

    def _check_limits(self) -> None:
        now = time.monotonic()
        if now - self._checked < POLL_SECONDS:
            return
        self._checked = now
        limits = self._limits
        if now - self.begun > limits.seconds:
            self.fail(WorkerOverdue, f"ran past its time limit of {limits.seconds:g} s and was killed")
        if now - self._heard > limits.silence_seconds:
            silence = f"reported nothing for {limits.silence_seconds:g} s and was killed as hung"
            self.fail(WorkerTimeout, silence)
        held = self._worker._group.memory(limits.memory)
        if held > limits.memory:
            limit = format_size(limits.memory)
            what = f"held {format_size(held)}, over its limit of {limit}, and was killed"
            self.fail(WorkerOutOfMemory, what)

    def _fail_dead(self) -> NoReturn:
        worker = self._worker
        if worker.alive():
            self.fail(WorkerReplyInvalid, "closed its channel to the harness and went on running")
        worker.kill()
        status = worker._process.returncode
        given = "after it had given a result" if self._results else "without an answer"
        if status == -signal.SIGKILL:
            if kernel_kills() > self._kernel_kills:
                what = "was killed by the kernel: the machine, or a limit around it, was out of memory"
                self.fail(WorkerOutOfMemory, what)
            what = "was killed by SIGKILL, not by the harness and, as far as the kernel tells, not for memory"
            self.fail(WorkerCrashed, what)
        if status < 0:
            name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
            self.fail(WorkerCrashed, f"died of {name} {given}")
        self.fail(WorkerCrashed, f"exited with status {status} {given}")

    def fail(self, kind: type[WorkFailed], what: str) -> NoReturn:
        """Raise, with the last lines that the worker printed during this job."""
        printed = _tail(self._worker._log, self._log_start)
        said = "; the last it printed:\n" + "\n".join(f"    {line}" for line in printed) if printed else ""
        raise kind(
            f"the worker for {self._role!r} ({self._worker.spec.entry}) {what}{said}",
            hint=f"All its output is in {self._worker._log}.",
        )


def kind_of(raised: answers.Raised) -> type[WorkFailed]:
    """By the exception's class, never by its text, which may quote anything. That of torch for a full GPU is called
    ``OutOfMemoryError`` in every version."""
    if any("OutOfMemory" in name or name == "MemoryError" for name in raised.types):
        return WorkerOutOfMemory
    return WorkerDiskFull if raised.errno in DISK_FULL else WorkerRaised


def _tail(log: Path, start: int) -> list[str]:
    """The last lines of ``log`` that were written after offset ``start``."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - 8192))
        text = file.read().decode(errors="replace")
    return [line[:300] for line in text.splitlines() if line.strip()][-LOG_LINES:]
