"""All processes of one worker: how much memory they hold, and how to end every one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from curation_plugins.workers.guard import kill_all

TOKEN = "CURATION_WORKER"
"""Environment variable that every process of one worker inherits, also one that left the session."""

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError)


class ProcessGroup:
    """A worker started as leader of its own session, and whatever it started since."""

    def __init__(self, leader: int, token: str) -> None:
        self.leader = leader
        self.mark = f"{TOKEN}={token}"

    def memory(self, limit: int) -> int:
        """Bytes held. Below ``limit`` this is the sum of resident sizes, which counts shared pages once
        for each process; only where that is above ``limit`` are the pages shared out, which is slower."""
        members = list(self._session())
        resident = _total(members, lambda process: int(process.memory_info().rss))
        if resident <= limit:
            return resident
        return _total(members, lambda process: int(process.memory_full_info().pss))

    def kill(self) -> None:
        """Kill all of them. Call it before the leader is waited for: until then its number cannot have been
        given to somebody else's process."""
        kill_all(self.leader, self.mark.encode())

    def _session(self) -> Iterator[psutil.Process]:
        """Members of the session, and descendants of the leader that made a session of their own."""
        found = set()
        for pid in psutil.pids():
            with contextlib.suppress(*_GONE, PermissionError):
                if os.getsid(pid) == self.leader:
                    found.add(pid)
        with contextlib.suppress(*_GONE):
            found |= {child.pid for child in psutil.Process(self.leader).children(recursive=True)}
        for pid in found:
            with contextlib.suppress(*_GONE):
                yield psutil.Process(pid)


def _total(members: list[psutil.Process], size: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in members:
        with contextlib.suppress(*_GONE):
            total += size(process)
    return total


def kernel_kills() -> int:
    """How often the kernel has killed for want of memory so far: in our control group where it counts, which
    leaves other containers' kills out, else on the whole machine."""
    for counter in (*_group_counters(), Path("/proc/vmstat")):
        with contextlib.suppress(OSError, ValueError):
            for line in counter.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _group_counters() -> Iterator[Path]:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                yield Path("/sys/fs/cgroup") / group.strip("/") / "memory.events"
            elif controllers == "memory":
                yield Path("/sys/fs/cgroup/memory") / group.strip("/") / "memory.oom_control"
