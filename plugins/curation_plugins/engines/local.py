"""The engine of one machine: worker processes on named slots, shared fairly with other runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue

from curation_plugins.api import Engine, EngineSession, OnEvent, Progress
from curation_plugins.config import TaskConfig, WorkerLimits
from curation_plugins.engines.slot_queue import SlotQueue
from curation_plugins.engines.slots import Slot, discover
from curation_plugins.errors import WorkerDiskFull, WorkFailed, WorkStopped
from curation_plugins.jobs import Role, WorkerSpec
from curation_plugins.workers.process import WorkerProcess

ResultT = TypeVar("ResultT", bound=BaseModel)

TRIES = 2
"""A job that fails is done once more by a fresh worker, where that may help."""
FULL_BYTES = 2**20
"""A disk with less room than this is full."""
CLOSE_POLL_SECONDS = 0.05


class LocalEngine(Engine):
    """This machine's GPUs, or its processors where there is none."""

    name = "local"
    summary = "this machine: one job at a time on each GPU, or on every two processors"

    def __init__(self, slots: Sequence[Slot] | None = None, folder: Path | None = None) -> None:
        """``slots`` and ``folder`` (where runs queue for them) are found out at ``open`` if not given."""
        self._slots = slots
        self._folder = folder

    def open(self, *, run_id: str, log: Path, config: TaskConfig, on_event: OnEvent | None = None) -> EngineSession:
        queue = SlotQueue(discover() if self._slots is None else self._slots, self._folder)
        return LocalSession(queue, log, config.workers, on_event or _nobody)


def _nobody(name: str, details: Mapping[str, JsonValue]) -> None:
    """Nobody listens to events."""


@dataclass(frozen=True, eq=False)
class _Worker:
    key: str
    """Of its ``WorkerSpec``."""
    environment: Mapping[str, str]
    """Of the slot that it was started on."""
    process: WorkerProcess


class LocalSession(EngineSession):
    """A run's workers: as many for each role as jobs of it are under way at once, each on a slot of its own.

    Roles whose ``WorkerSpec`` is the same share workers. A worker stays for the next job if that comes to a slot with
    the same environment, so that models are loaded once. A job alone that comes to another slot takes its worker
    along; of jobs side by side each slot keeps its own. Calls from several threads are done side by side.
    """

    def __init__(self, queue: SlotQueue, log: Path, limits: WorkerLimits, on_event: OnEvent) -> None:
        self._queue = queue
        self._log = log
        self._limits = limits
        self._on_event = on_event
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[_Worker]] = defaultdict(list)
        self._busy: list[_Worker] = []
        self._calls = 0
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self._last = threading.local()
        self._latest = ""

    def slot(self) -> str:
        return getattr(self._last, "slot", self._latest)

    def side_by_side(self) -> int:
        return len(self._queue.slots)

    def call(
        self, spec: WorkerSpec, role: Role, job: BaseModel, result: type[ResultT], progress: Progress
    ) -> ResultT:
        with self._lock:
            self._calls += 1
        try:
            return self._tried(spec, role, job, result, progress)
        finally:
            with self._lock:
                self._calls -= 1

    def _tried(
        self, spec: WorkerSpec, role: Role, job: BaseModel, result: type[ResultT], progress: Progress
    ) -> ResultT:
        for tried in range(1, TRIES + 1):
            try:
                return self._once(spec, role, job, result, progress)
            except WorkFailed as failure:
                if self._closed.is_set():
                    raise WorkStopped(f"the run ended during a {role!r} job") from failure
                error = full_disk(failure, getattr(job, "out", None)) or failure
                kind, message = type(error).__name__, str(error)
                self._on_event("job-failed", {"role": role, "try": tried, "error": kind, "message": message})
                if tried == TRIES or not error.again:
                    raise error from failure
                _empty(getattr(job, "out", None))
        raise AssertionError("unreachable")

    def _once(
        self, spec: WorkerSpec, role: Role, job: BaseModel, result: type[ResultT], progress: Progress
    ) -> ResultT:
        if self._closed.is_set():
            raise WorkStopped(f"the run ended before a {role!r} job began")
        asked = time.monotonic()
        with self._queue.acquire(
            prefer=self.slot(),
            waiting=lambda: progress("waiting for a slot", 0.0),
            stopped=self._closed.is_set,
        ) as slot:
            self._last.slot = self._latest = slot.name
            waited = round(time.monotonic() - asked, 3)
            self._on_event("slot-taken", {"role": role, "slot": slot.name, "waited_seconds": waited})
            worker = self._taken(spec, role, slot)
            try:
                answer, timing = worker.process.call(role, job, result, self._limits, progress)
            except BaseException as error:  # also Ctrl-C: a worker in the middle of a job is of no use
                self._drop(worker, type(error).__name__)
                raise
            self._on_event(
                "job-done",
                {
                    "role": role,
                    "slot": slot.name,
                    "pid": worker.process.pid,
                    "python": timing.python,
                    "seconds": round(timing.seconds, 3),
                    "start_seconds": round(timing.start_seconds, 3),
                },
            )
            with self._lock:
                self._busy.remove(worker)
                self._idle[worker.key].append(worker)
            return answer

    def _taken(self, spec: WorkerSpec, role: Role, slot: Slot) -> _Worker:
        """A warm worker, or a fresh one if there is none, it died, or it belongs to another GPU."""
        key, environment = spec.model_dump_json(), slot.environment()
        while warm := self._taken_idle(key, environment):
            if warm.process.idle() and warm.environment == environment:
                return warm
            self._drop(warm, "moved to another slot" if warm.process.idle() else "died or spoke unasked while idle")
        worker = _Worker(key, environment, WorkerProcess(spec, environment, self._log))
        with self._lock:
            self._busy.append(worker)
        self._on_event("worker-started", {"role": role, "slot": slot.name, "pid": worker.process.pid})
        # looked at only now: `close` either finds this worker, or was called before and is found out here
        if self._closed.is_set():
            self._drop(worker, "the run is over")
            raise WorkStopped(f"the run ended before a {role!r} job began")
        return worker

    def _taken_idle(self, key: str, environment: Mapping[str, str]) -> _Worker | None:
        """An idle worker of that kind, from now on busy: of that environment if there is one; of another one only
        where no other job is under way, which might come to that slot next."""
        with self._lock:
            resting = self._idle[key]
            strange = resting[0] if resting and self._calls <= 1 else None
            worker = next((one for one in resting if one.environment == environment), strange)
            if worker is None:
                return None
            resting.remove(worker)
            self._busy.append(worker)
            return worker

    def _drop(self, worker: _Worker, why: str) -> None:
        with self._lock:
            self._busy.remove(worker)
        worker.process.kill()
        self._on_event("worker-ended", {"pid": worker.process.pid, "why": why})

    def close(self) -> None:
        """End every worker. A job that another thread has under way raises WorkStopped there."""
        self._closed.set()
        with self._closing:  # a run that is stopped closes it in a thread of its own, and again at its end
            self._end_workers()

    def _end_workers(self) -> None:
        while True:
            with self._lock:
                calls, busy = self._calls, [worker for worker in self._busy if worker.process.busy]
            if not calls:
                break
            for worker in busy:
                worker.process.interrupt()
            time.sleep(CLOSE_POLL_SECONDS)
        for key in list(self._idle):
            while rested := self._taken_idle(key, {}):
                rested.process.close()
                self._drop(rested, "the run is over")
        for left in list(self._busy):  # its job was done, and could not be told of
            self._drop(left, "the run is over")


def full_disk(failure: WorkFailed, out: Path | None) -> WorkerDiskFull | None:
    """The failure as what it comes from, where the disk that the job writes to has no room: what a library raises
    then, if it raises, seldom says so."""
    if out is None or isinstance(failure, WorkerDiskFull):
        return None
    room = shutil.disk_usage(out if out.is_dir() else out.parent).free
    if room >= FULL_BYTES:
        return None
    return WorkerDiskFull(
        f"{failure.message}\nThe disk of {out} has {room} bytes left.", hint="Free some disk space."
    )


def _empty(out: Path | None) -> None:
    """Remove what a failed try left: the folder's content, or the file."""
    if out is None:
        return
    if out.is_dir():
        for entry in out.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    else:
        out.unlink(missing_ok=True)
