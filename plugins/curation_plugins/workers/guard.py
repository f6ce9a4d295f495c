"""Ends a worker when the harness is gone, however the harness went. Standard library only.

    python -I -S guard.py JOBS_FD LEADER MARK SCRATCH

A program of its own beside each worker: it does not depend on the worker's interpreter lock, and takes along
what the worker started. A parent-death signal would do neither, and it fires already when the harness's
*thread* that started the worker ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator

KILL_SECONDS = 10
"""How long to look for processes that are still there; one that waits for a device dies late."""


def marked(mark: bytes) -> Iterator[int]:
    """Numbers of living processes that have ``mark`` (``NAME=value``) in their environment."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up time
        if entry.isdigit():
            # not ours, or gone already
            with contextlib.suppress(OSError), open(f"/proc/{entry}/environ", "rb") as environment:  # noqa: PTH123
                if mark in environment.read().split(b"\0"):
                    yield int(entry)


def kill_all(leader: int, mark: bytes) -> None:
    """Kill the session of ``leader``, and what left it but still bears the mark, until nothing is left."""
    end = time.monotonic() + KILL_SECONDS
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGKILL)
        rest = [pid for pid in marked(mark) if pid != os.getpid()]
        if not rest or time.monotonic() > end:
            return
        for pid in rest:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def main() -> None:
    jobs_fd, leader, mark = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    # the other end of the jobs pipe is the harness's alone: it hangs up when the harness is gone
    hang_up = select.poll()
    hang_up.register(jobs_fd, 0)
    while not any(event & select.POLLHUP for _, event in hang_up.poll()):
        pass
    kill_all(leader, mark)
    shutil.rmtree(sys.argv[4], ignore_errors=True)


if __name__ == "__main__":
    main()
