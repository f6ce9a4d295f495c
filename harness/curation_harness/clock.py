"""The agent's clock: runs while the agent may work, stands still while the host trains, scores or queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_SECONDS = 60.0
"""Longest time between two entries in the event log, so that a crash forgets at most this much."""


class AgentClock:
    """Counts agent seconds on the monotonic clock; a jump of the wall clock changes nothing."""

    def __init__(self, spent: float, log: Callable[[float], object]) -> None:
        """Args:
        spent: seconds spent before, from the record.
        log: called with the seconds since the last call whenever the clock stops or a tick has passed.
        """
        self._spent = spent
        self._log = log
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
        """Write the time to the log when a tick has passed; called by the run loop."""
        with self._lock:
            if self._running() >= TICK_SECONDS:
                self._flush()

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
        self._since = time.monotonic()
        self._log(seconds)
