"""Bounded folders on disk: the agent's workspace and home, which outlive its container.

As root a volume is a sparse file with an ext4 file system, loop-mounted nosuid and nodev: the size and the
number of files are the kernel's to enforce, and the bytes do not count against the container's memory. Without
root (or loop devices) it is a plain folder; then ``bounded`` is false, ``reason`` says why, and only the
largest single file is limited.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from curation_sandbox import mounts, owners
from curation_sandbox.errors import ContainerFailed, DiskFull
from curation_sandbox.spec import format_size

STATE: Final = Path("/run/curation-harness")
"""Where root keeps what concerns this boot only: claims on volumes, staged binds. A tmpfs on most systems."""
CLAIMS: Final = STATE / "volumes"

_BYTES_PER_FILE: Final = 8192
_SMALLEST: Final = 2 * 2**20


class Claim(BaseModel):
    """A file under ``CLAIMS``: which process attached a volume."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Path
    """The volume's file."""
    mountpoint: Path
    """Where it is mounted."""
    owner: owners.Owner
    """Who attached it."""

    @classmethod
    def read(cls, path: Path) -> Claim | None:
        """The claim in a file; none if it is gone or is not one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None


class Volume:
    """A folder of at most ``size`` bytes at ``mountpoint``, kept in the file ``image``.

    ``with Volume(…) as volume`` creates it if needed, attaches it, and detaches it at the end; its content stays
    in the file. Every step may be repeated, also by another process after a ``kill -9`` of the first.
    """

    def __init__(self, image: Path, mountpoint: Path, size: int, uid: int = 1000) -> None:
        self.image = image.absolute()
        self.mountpoint = mountpoint.absolute()
        self.size = size
        self.uid = uid
        self.reason: str | None = self._why_plain()
        """Why the volume is a plain folder without a bound; none: it is bounded."""

    @property
    def bounded(self) -> bool:
        """Whether the kernel enforces ``size``."""
        return self.reason is None

    @property
    def attached(self) -> bool:
        """Whether the content is at ``mountpoint`` now."""
        return self.mountpoint.is_dir() and (not self.bounded or self._mounted())

    def create(self) -> None:
        """Make the file (or the folder); nothing happens if it is there.

        Raises:
            DiskFull: less than ``size`` bytes are free: the file is sparse, and must be able to fill up.
            ContainerFailed: the file system cannot be made.
        """
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        if not self.bounded:
            self._give_to_agent()
            return
        if self.image.exists():
            return
        self.image.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.image.parent).free
        if free < self.size:
            raise DiskFull(
                f"{self.image.parent} has {format_size(free)} free; the volume needs {format_size(self.size)}.",
                hint="Free some disk space, or lower limits.workspace_size and limits.home_size.",
            )
        # Under another name until it is whole: a half-made file would be taken for a volume.
        making = self.image.with_name(f"{self.image.name}.{os.getpid()}.new")
        try:
            with making.open("wb") as file:
                file.truncate(max(self.size, _SMALLEST))
            mounts.command(*_make_file_system(making, self.uid))
            making.replace(self.image)
        finally:
            making.unlink(missing_ok=True)

    def attach(self) -> None:
        """Mount it; takes over what a dead process left mounted.

        Raises:
            ContainerFailed: a live process has it attached, something else is mounted there, or the kernel refuses.
        """
        if not self.bounded:
            self._give_to_agent()
            return
        claim = Claim.read(self._claim_path)
        if claim is not None and not claim.owner.dead and claim.owner != owners.current():
            raise ContainerFailed(
                f"The volume {self.image} is in use by process {claim.owner.pid}.",
                hint="Another harness process works on this run; end it first.",
            )
        present = mounts.at(self.mountpoint)
        if present is not None and not self._mounted():
            raise ContainerFailed(
                f"{self.mountpoint} is already a mount of {present.source}, which is not ours.",
                hint=f"Look at it (findmnt {self.mountpoint}) and unmount it, or choose another run folder.",
            )
        self._write_claim()
        if present is None:
            self._mount()
        # As it was made: an agent may have shut its own folder, and its next container could not use it.
        os.chown(self.mountpoint, self.uid, self.uid)
        self.mountpoint.chmod(0o755)

    def detach(self) -> None:
        """Unmount it (lazily, if a container still holds it); nothing happens if it is not mounted."""
        if not self.bounded:
            return
        if self._mounted():
            mounts.unmount(self.mountpoint)
        self._claim_path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.create()
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    @property
    def _claim_path(self) -> Path:
        return CLAIMS / f"{hashlib.sha256(os.fsencode(self.image)).hexdigest()[:24]}.json"

    def _why_plain(self) -> str | None:
        if self.image.exists():
            if mounts.can_mount():
                return None
            raise ContainerFailed(
                f"The volume {self.image} was made by root and can only be attached by root.",
                hint="Resume the run as the user that began it.",
            )
        if self.mountpoint.is_dir() and mounts.at(self.mountpoint) is None and _begun(self.mountpoint):
            return "the folder was begun without a size bound, and keeps what is in it"
        return why_unbounded()

    def _mounted(self) -> bool:
        """Whether exactly our file is mounted at the place."""
        present = mounts.at(self.mountpoint)
        if present is None or not present.source.startswith("/dev/loop"):
            return False
        return backing_file(present.source) == self.image.resolve()

    def _mount(self) -> None:
        # There is no journal: what a crash of the machine left is repaired here. 0: clean, 1: repaired.
        check = ("e2fsck", "-f", "-y", str(self.image))
        with contextlib.suppress(ContainerFailed):  # its exit status 1 means "repaired"; mount has the last word
            mounts.command(*check)
        mounts.command(
            "mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noatime", str(self.image), str(self.mountpoint)
        )
        with contextlib.suppress(OSError):
            (self.mountpoint / "lost+found").rmdir()  # empty unless something was repaired

    def _write_claim(self) -> None:
        claim = Claim(image=self.image, mountpoint=self.mountpoint, owner=owners.current())
        CLAIMS.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._claim_path.with_suffix(f".{os.getpid()}.new")
        new.write_text(claim.model_dump_json())
        new.replace(self._claim_path)

    def _give_to_agent(self) -> None:
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.mountpoint, self.uid, self.uid)
        # if the agent's number is ours, the folder is the agent's, too, and it may have shut it; if not, the folders
        # above keep other users of the host out
        self.mountpoint.chmod(0o755 if os.geteuid() in (0, self.uid) else 0o777)


def _begun(folder: Path) -> bool:
    """Whether there is something in it; an agent that has our number may have shut its own."""
    try:
        return any(folder.iterdir())
    except PermissionError:
        return True


def why_unbounded() -> str | None:
    """Why volumes on this machine are plain folders; none: they are bounded."""
    if os.geteuid() != 0:
        return "only root can mount a volume; the harness does not run as root"
    if not mounts.can_mount():
        return "this root may not mount (no CAP_SYS_ADMIN)"
    if shutil.which("mkfs.ext4") is None:
        return "there is no mkfs.ext4 (package e2fsprogs)"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices (modprobe loop)"
    return None


def backing_file(device: str) -> Path | None:
    """The file behind a loop device."""
    try:
        return Path(Path(f"/sys/block/{Path(device).name}/loop/backing_file").read_text().strip())
    except OSError:
        return None


def _make_file_system(image: Path, uid: int) -> tuple[str, ...]:
    return (
        "mkfs.ext4", "-q", "-F",
        "-O", "^has_journal",
        "-m", "0",
        "-i", str(_BYTES_PER_FILE),
        "-E", f"root_owner={uid}:{uid},lazy_itable_init=1,nodiscard",
        str(image),
    )  # fmt: skip
