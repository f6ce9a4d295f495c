"""What the kernel's control groups say of a process, read on the host: versions 1 and 2."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/sys/fs/cgroup")


class Enforced(NamedTuple):
    """Limits in force on a process; None: none, or it cannot be seen."""

    memory: int | None
    """Bytes."""
    pids: int | None
    cpus: float | None
    """Processor seconds per second."""


def folder(pid: int, controller: str) -> Path | None:
    """The group that holds ``pid`` for this controller (memory, pids, cpu).

    Raises:
        OSError: no such process, or it is not ours to look at.
    """
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            return ROOT / controller / group.lstrip("/")
        if controllers == "" and (ROOT / "cgroup.controllers").exists():
            return ROOT / group.lstrip("/")
    return None


def enforced(pid: int) -> Enforced:
    """The limits in force on a process."""
    return Enforced(
        memory=_number(pid, "memory", "memory.max", "memory.limit_in_bytes"),
        pids=_number(pid, "pids", "pids.max"),
        cpus=_cpus(pid),
    )


def memory_events(pid: int) -> Path | None:
    """The file in which the kernel counts a group's kills for memory.

    Raises:
        OSError: no such process, or it is not ours to look at.
    """
    group = folder(pid, "memory")
    if group is None:
        return None
    return next((group / name for name in ("memory.events", "memory.oom_control") if (group / name).exists()), None)


def _number(pid: int, controller: str, *names: str) -> int | None:
    words = _words(pid, controller, *names)
    return int(words[0]) if words and words[0].isdigit() else None


def _cpus(pid: int) -> float | None:
    words = _words(pid, "cpu", "cpu.max") or [
        *_words(pid, "cpu", "cpu.cfs_quota_us"),
        *_words(pid, "cpu", "cpu.cfs_period_us"),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None  # "max", or -1
    return int(words[0]) / int(words[1])


def _words(pid: int, controller: str, *names: str) -> list[str]:
    """The first of these files that is there."""
    try:
        group = folder(pid, controller)
        for name in names:
            if group is not None and (group / name).exists():
                return (group / name).read_text().split()
    except OSError:
        pass
    return []
