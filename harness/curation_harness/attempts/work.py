"""The host's work for one run, one piece after the other, while the agent's clock stands still."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from curation_harness.attempts.clock import AgentClock

Work = Callable[[], None]


class HostWork:
    """A queue and the one thread that empties it: attempts and signals of a run never overlap."""

    def __init__(self, clock: AgentClock) -> None:
        self._clock = clock
        self._queue: queue.Queue[Work | None] = queue.Queue()
        self._thread = threading.Thread(target=self._loop, name="host-work", daemon=True)
        self._lock = threading.Lock()
        self._pending = 0
        self._crash: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def add(self, work: Work) -> None:
        """Queue work. The agent's clock stops now, not when the work's turn comes."""
        stopped = self._clock.host_works()
        stopped.__enter__()
        with self._lock:
            self._pending += 1

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._pending -= 1
                stopped.__exit__(None, None, None)

        self._queue.put(run)

    @property
    def busy(self) -> bool:
        with self._lock:
            return self._pending > 0

    @property
    def alive(self) -> bool:
        """Whether the thread may yet do something; after ``abandon`` only a work that does not end keeps it."""
        return self._thread.is_alive()

    def raise_if_crashed(self) -> None:
        """Re-raise what went wrong in the thread: a bug or a full disk must end the run, not hang it."""
        if self._crash is not None:
            raise self._crash

    def finish(self) -> None:
        """Do everything that is queued, then end the thread."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self.raise_if_crashed()

    def abandon(self, seconds: float) -> None:
        """Drop what is queued and give the work under way a moment to notice that its worker is gone."""
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(None)
        self._thread.join(seconds)

    def _loop(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._crash is not None:
                continue
            try:
                work()
            # kept for raise_if_crashed: the run loop in the main thread ends the run with it
            except BaseException as error:
                self._crash = error
