"""The engine of one machine: worker processes on named slots, shared fairly with other runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, JsonValue

from curation_plugins.api import Engine, EngineSession, OnEvent, Progress
from curation_plugins.config import TaskConfig, WorkerLimits
from curation_plugins.engines.slot_queue import SlotQueue
from curation_plugins.engines.slots import Slot, discover
from curation_plugins.errors import WorkFailed, WorkStopped
from curation_plugins.jobs import Role, WorkerSpec
from curation_plugins.workers.process import WorkerProcess

ResultT = TypeVar("ResultT", bound=BaseModel)

TRIES = 2
"""A job that fails is done once more, by a fresh worker."""


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


class LocalSession(EngineSession):
    """A run's workers: one for each role, or one for several roles whose ``WorkerSpec`` is the same.

    A worker stays for the next job if that comes to a slot with the same environment, so that models are
    loaded once. Calls from several threads are fine; jobs of one worker go one after another.
    """

    def __init__(self, queue: SlotQueue, log: Path, limits: WorkerLimits, on_event: OnEvent) -> None:
        self._queue = queue
        self._log = log
        self._limits = limits
        self._on_event = on_event
        self._workers: dict[str, WorkerProcess] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._closed = threading.Event()
        self._slot = ""

    def slot(self) -> str:
        return self._slot

    def call(
        self, spec: WorkerSpec, role: Role, job: BaseModel, result: type[ResultT], progress: Progress
    ) -> ResultT:
        key = spec.model_dump_json()
        with self._turns[key]:
            for tried in range(1, TRIES + 1):
                try:
                    return self._once(key, spec, role, job, result, progress)
                except WorkFailed as error:
                    if self._closed.is_set():
                        raise WorkStopped(f"the run ended during a {role!r} job") from error
                    kind, message = type(error).__name__, str(error)
                    details = {"role": role, "try": tried, "error": kind, "message": message}
                    self._on_event("job-failed", details)
                    if tried == TRIES:
                        raise
                    _empty(getattr(job, "out", None))
        raise AssertionError("unreachable")

    def _once(
        self,
        key: str,
        spec: WorkerSpec,
        role: Role,
        job: BaseModel,
        result: type[ResultT],
        progress: Progress,
    ) -> ResultT:
        if self._closed.is_set():
            raise WorkStopped(f"the run ended before a {role!r} job began")
        asked = time.monotonic()
        with self._queue.acquire(
            prefer=self._slot,
            waiting=lambda: progress("waiting for a slot", 0.0),
            stopped=self._closed.is_set,
        ) as slot:
            self._slot = slot.name
            waited = round(time.monotonic() - asked, 3)
            self._on_event("slot-taken", {"role": role, "slot": slot.name, "waited_seconds": waited})
            worker = self._worker(key, spec, role, slot)
            try:
                answer, timing = worker.call(role, job, result, self._limits, progress)
            except BaseException as error:  # also Ctrl-C: a worker in the middle of a job is of no use
                self._drop(key, type(error).__name__)
                raise
            self._on_event(
                "job-done",
                {
                    "role": role,
                    "slot": slot.name,
                    "pid": worker.pid,
                    "python": timing.python,
                    "seconds": round(timing.seconds, 3),
                    "start_seconds": round(timing.start_seconds, 3),
                },
            )
            return answer

    def _worker(self, key: str, spec: WorkerSpec, role: Role, slot: Slot) -> WorkerProcess:
        """The warm worker, or a fresh one if there is none, it died, or it belongs to another GPU."""
        environment = slot.environment()
        worker = self._workers.get(key)
        if worker is not None:
            if worker.idle() and self._environments[key] == environment:
                return worker
            self._drop(key, "moved to another slot" if worker.idle() else "died or spoke unasked while idle")
        worker = WorkerProcess(spec, environment, self._log)
        self._workers[key], self._environments[key] = worker, environment
        self._on_event("worker-started", {"role": role, "slot": slot.name, "pid": worker.pid})
        # looked at only now: `close` either finds this worker, or was called before and is found out here
        if self._closed.is_set():
            self._drop(key, "the run is over")
            raise WorkStopped(f"the run ended before a {role!r} job began")
        return worker

    def _drop(self, key: str, why: str) -> None:
        worker = self._workers.pop(key)
        worker.kill()
        self._on_event("worker-ended", {"pid": worker.pid, "why": why})

    def close(self) -> None:
        """End every worker. A job that another thread has under way raises WorkStopped there."""
        self._closed.set()
        for key in list(self._workers):
            while not self._turns[key].acquire(timeout=0.1):
                worker = self._workers.get(key)
                if worker is not None and worker.busy:
                    worker.interrupt()
            try:
                if key in self._workers:
                    self._workers[key].close()
                    self._drop(key, "the run is over")
            finally:
                self._turns[key].release()


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
