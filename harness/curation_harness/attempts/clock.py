"""The agent's clock: runs while the agent may work, stands still while the host trains, scores or queues."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

TICK_SECONDS = 60.0
"""Longest time between two entries in the event log."""
PULSE_SECONDS: Final = 0.5
"""Longest time between two notes of the running clock, so that a kill forgets at most this much."""
PULSE: Final = "agent-clock"
"""Name of the notes' file in the run's folder."""


class Pulse:
    """The clock's time since its last entry in the event log, noted on disk so often that no event could be.

    The file outlives the process and not the machine: it is not flushed. It says how many entries the log had, so
    that a note from before the last one counts for nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PULSE

    def beat(self, entries: int, seconds: float) -> None:
        """Note the time. A disk that takes nothing more costs the run no more than this note."""
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(descriptor, f"{entries:12d} {seconds:12.3f}\n".encode(), 0)  # one write: never half a note
            finally:
                os.close(descriptor)

    def unlogged(self, entries: int) -> float:
        """Seconds noted since the log's last entry, which is number ``entries``."""
        try:
            known, seconds = self._path.read_text().split()
            return float(seconds) if int(known) == entries else 0.0
        except (OSError, ValueError):
            return 0.0

    def clear(self) -> None:
        """The log has everything."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


class AgentClock:
    """Counts agent seconds on the monotonic clock; a jump of the wall clock changes nothing."""

    def __init__(
        self, spent: float, log: Callable[[float], object], beat: Callable[[float], object] = lambda seconds: None
    ) -> None:
        """Args:
        spent: seconds spent before, from the record.
        log: called with the seconds since the last call whenever the clock stops or a tick has passed.
        beat: called more often, with the seconds since ``log`` was called.
        """
        self._spent = spent
        self._log = log
        self._beat = beat
        self._beaten = 0.0
        self._lock = threading.RLock()
        self._since: float | None = None
        self._agent_alive = False
        self._host_work = 0

    def start(self) -> None:
        """The agent's container runs."""
        with self._lock:
            self._agent_alive = True
            self._update()

    def stop(self) -> None:
        """The agent's container has ended."""
        with self._lock:
            self._agent_alive = False
            self._update()

    @contextmanager
    def host_works(self) -> Iterator[None]:
        """The clock stands still inside the block; blocks may nest and overlap."""
        with self._lock:
            self._host_work += 1
            self._update()
        try:
            yield
        finally:
            with self._lock:
                self._host_work -= 1
                self._update()

    def spent(self) -> float:
        with self._lock:
            return self._spent + self._running()

    def tick(self) -> None:
        """Write the time to the log when a tick has passed, and note it more often; called by the run loop."""
        with self._lock:
            running = self._running()
            if running >= TICK_SECONDS:
                self._flush()
            elif running - self._beaten >= PULSE_SECONDS:
                self._beaten = running
                self._beat(running)

    def _running(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def _update(self) -> None:
        runs = self._agent_alive and self._host_work == 0
        if runs and self._since is None:
            self._since = time.monotonic()
        elif not runs and self._since is not None:
            self._flush()
            self._since = None

    def _flush(self) -> None:
        seconds = self._running()
        self._spent += seconds
        self._since, self._beaten = time.monotonic(), 0.0
        self._log(seconds)
