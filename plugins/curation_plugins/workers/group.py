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


class ProcessGroup:
    """A worker started as leader of its own session, and whatever it started since."""

    def __init__(self, leader: int, token: str) -> None:
        self.leader = leader
        self.mark = f"{TOKEN}={token}"

    def memory(self, limit: int) -> int:
        """Bytes held. Below ``limit`` this is the sum of resident sizes, which counts shared pages once
        for each process; only where that is above ``limit`` are the pages shared out, which is slower."""
        members = self._members()
        resident = _total(members, lambda process: int(process.memory_info().rss))
        if resident <= limit:
            return resident
        return _total(members, lambda process: int(process.memory_full_info().pss))

    def kill(self) -> None:
        """Kill all of them. Call it before the leader is waited for: until then its number cannot have been
        given to somebody else's process."""
        kill_all(self.leader, self.mark.encode())

    def _members(self) -> set[int]:
        """Processes of the session, and descendants of theirs that made sessions of their own."""
        found = set()
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.leader:
                    found.add(pid)
        unseen = list(found)
        while unseen:
            new = set(_children(unseen.pop())) - found
            found |= new
            unseen += new
        return found


def _children(pid: int) -> Iterator[int]:
    # asked of the process itself: psutil would read every process of the machine, four times a second
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (thread / "children").read_text().split())


def _total(members: set[int], size: Callable[[psutil.Process], int]) -> int:
    total = 0
    for pid in members:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += size(psutil.Process(pid))
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
