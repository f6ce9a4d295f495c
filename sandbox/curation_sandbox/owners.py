"""Who made a container, a mount, a volume: by it, leftovers of a dead process are told from a live run's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

OWNER_FILE: Final = "owner.json"
"""In a folder of ours: which process made it."""
TEMPORARY: Final = "curation-"
"""What the names of temporary folders of ours begin with."""


class Owner(BaseModel):
    """A process, named so that a later process of the same number is not taken for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    """Process id, in the namespace below."""
    started: int
    """Start of the process, clock ticks since boot (``/proc/PID/stat``, field 22)."""
    boot_id: str
    """The kernel's random id of this boot."""
    pid_namespace: str
    """``/proc/self/ns/pid``: two containers that share an engine number their processes independently."""

    @property
    def dead(self) -> bool:
        """Whether the process is surely gone. A process of another pid namespace is never called dead
        while the machine has not been rebooted: we cannot see it."""
        if self.boot_id != _boot_id():
            return True
        if self.pid_namespace != _pid_namespace():
            return False
        started = _started(self.pid)
        return started != self.started and not (started is None and _hidden(self.pid))

    def labels(self) -> dict[str, str]:
        """The owner as labels of a container; the engine's label prefix is the caller's to add."""
        return {
            "owner-pid": str(self.pid),
            "owner-started": str(self.started),
            "boot-id": self.boot_id,
            "pid-namespace": self.pid_namespace,
        }

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> Owner | None:
        """The owner that ``labels`` wrote; none if labels are missing or wrong."""
        try:
            return cls(
                pid=int(labels["owner-pid"]),
                started=int(labels["owner-started"]),
                boot_id=labels["boot-id"],
                pid_namespace=labels["pid-namespace"],
            )
        except (KeyError, ValueError):
            return None

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner written by ``model_dump_json``; none if it is not one."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None


def current() -> Owner:
    """This process."""
    pid = os.getpid()
    started = _started(pid)
    assert started is not None
    return Owner(pid=pid, started=started, boot_id=_boot_id(), pid_namespace=_pid_namespace())


def mark(folder: Path) -> None:
    """Note in a folder that this process made it."""
    (folder / OWNER_FILE).write_text(current().model_dump_json())


@contextmanager
def scratch(place: Path | None = None) -> Iterator[Path]:
    """A temporary folder, removed in the end; that of a killed process is known by its name and its mark.

    Args:
        place: where it lies; none: among the machine's temporary files.
    """
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=place) as made:
        folder = Path(made)
        mark(folder)
        yield folder


def of_folder(folder: Path) -> Owner | None:
    """Who made a folder; none: it does not say, and then it is nobody's to remove."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return None
        return Owner.parse((folder / OWNER_FILE).read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else int(fields[19])


def _hidden(pid: int) -> bool:
    """Whether a process of another user is there that ``/proc`` (mounted with ``hidepid``) does not show us."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pid_namespace() -> str:
    return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path but "pid:[number]"
