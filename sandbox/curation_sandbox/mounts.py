"""Mounts on the host: loop mounts for volumes, and read-only, nosuid, nodev binds of what a container is shown.

Only root can mount; ``can_mount`` says so, and the callers state what holds without it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from curation_sandbox.errors import ContainerFailed

_OCTAL = re.compile(r"\\([0-7]{3})")


class MountPoint(NamedTuple):
    """One line of ``/proc/PID/mountinfo``."""

    target: Path
    options: frozenset[str]
    """Per-mount options: ``ro``, ``nosuid``, ``nodev`` …"""
    filesystem: str
    source: str
    """Device, e.g. ``/dev/loop0``."""


def mounted(pid: int | str = "self") -> Iterator[MountPoint]:
    """The mounts a process sees, oldest first.

    Raises:
        OSError: no such process, or it is not ours to look at.
    """
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        yield MountPoint(Path(_unescaped(fields[4])), frozenset(fields[5].split(",")), rest[0], _unescaped(rest[1]))


def at(target: Path) -> MountPoint | None:
    """The topmost mount at exactly this place, if any."""
    place = target.resolve()
    found = [point for point in mounted() if point.target == place]
    return found[-1] if found else None


def below(folder: Path) -> list[MountPoint]:
    """The mounts in a folder, oldest first."""
    place = folder.resolve()
    return [point for point in mounted() if point.target.is_relative_to(place)]


def can_mount() -> bool:
    """Whether this process may mount: root, with the commands, and not itself in a bare container."""
    if os.geteuid() != 0 or shutil.which("mount") is None or shutil.which("umount") is None:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> 21 & 1)  # CAP_SYS_ADMIN
    return False


def bind_read_only(source: Path, target: Path) -> None:
    """Show ``source`` (file or folder, without the mounts below it) at ``target``: read-only, nosuid, nodev.

    Raises:
        ContainerFailed: the kernel refuses; nothing is left mounted.
    """
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    command("mount", "--bind", str(source), str(target))
    try:
        command("mount", "-o", "remount,bind,ro,nosuid,nodev", str(target))
    except ContainerFailed:
        unmount(target)
        raise


def unmount(target: Path) -> None:
    """Unmount everything stacked at the place, lazily if it is busy; nothing happens if nothing is mounted.

    Raises:
        ContainerFailed: the kernel refuses.
    """
    while at(target) is not None:
        if _run("umount", str(target)).returncode != 0:
            command("umount", "--lazy", str(target))


def command(*arguments: str) -> str:
    """Run a mount or file system command; what it printed.

    Raises:
        ContainerFailed: it is missing or fails; the message has its own words.
    """
    done = _run(*arguments)
    if done.returncode != 0:
        raise ContainerFailed(
            f"`{' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}",
            hint="`harness doctor` says what the sandbox can use on this machine.",
        )
    return done.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        return subprocess.CompletedProcess(arguments, 127, "", str(error))


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
