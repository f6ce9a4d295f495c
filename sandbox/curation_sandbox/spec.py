"""What a container is, as data: image, command, limits, mounts. Checked here, carried out in ``container.py``.

Everything writable in the container is one of: the workspace volume, the home volume, the bounded ``/tmp`` and
``/dev/shm``. A ``Mount`` is always read-only.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

WORKSPACE: Final = "/workspace"
HOME: Final = "/home/agent"
SOCKETS: Final = "/run/curation"
POOL: Final = "/pool"
HOSTNAME: Final = "sandbox"
"""Fixed, so that the host's name is not told."""

_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

# Ours, or the kernel's: a mount there would hide or replace what the isolation is made of.
_RESERVED: Final = ("/proc", "/sys", "/dev", "/tmp", WORKSPACE, HOME, SOCKETS, "/etc", "/run/secrets")
# Kernel views of the host: nothing below them is ever handed in.
_HOST_KERNEL: Final = ("/proc", "/sys", "/dev")
# A folder that is or holds one of these hands the host over (engine socket, credentials, other runs).
_HOST_SECRETS: Final = ("/etc", "/run/docker.sock", "/var/run/docker.sock", "/var/lib/docker", "/root", "/home")

THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "GOMAXPROCS",
)
"""Set to the CPU limit: libraries size their pools by the machine's cores, not by the cgroup's share, and
then fight over it (and run into the process limit)."""


def parse_size(text: str | int) -> int:
    """Bytes of ``512``, ``"512m"``, ``"1.5g"``, ``"2GiB"`` (powers of 1024).

    Raises:
        ValueError: not a positive size.
    """
    if isinstance(text, bool):
        raise ValueError("a size is a number of bytes or a text like '512m'")
    if isinstance(text, int):
        size = text
    else:
        match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"{text!r} is no size; write bytes, or a number with k, m, g or t, e.g. '512m'")
        size = int(Fraction(match[1]) * _UNITS[match[2].lower()])
    if size <= 0:
        raise ValueError(f"{text!r} is no size: it must be above zero")
    return size


def format_size(size: int) -> str:
    """``512.0 MiB`` and the like, for messages."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


Bytes = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
"""An amount of bytes; a text like ``"512m"`` is accepted and parsed."""


class Frozen(BaseModel):
    """Base of the sandbox's data types: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(Frozen):
    """What the agent's container may use. Sizes are bytes, or texts like ``512m``."""

    memory: Bytes = 2**30
    """Memory, swap included (there is none on top); ``/tmp`` and ``/dev/shm`` count."""
    cpus: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """CPU time per second of wall time, in cores."""
    pids: int = Field(default=256, ge=16)
    """Processes and threads alive at once."""
    file_size: Bytes = 256 * 2**20
    """Largest single file."""
    workspace_size: Bytes = 256 * 2**20
    """``/workspace``, on disk, kept for resume."""
    home_size: Bytes = 128 * 2**20
    """``/home/agent``, on disk, kept for resume."""
    tmp_size: Bytes = 128 * 2**20
    """``/tmp``, in memory, gone with the container."""
    tmp_inodes: PositiveInt = 32768
    """Files and folders in ``/tmp``."""
    shm_size: Bytes = 16 * 2**20
    """``/dev/shm``, in memory."""
    open_files: int = Field(default=1024, ge=64)
    """Open files per process."""

    @field_validator("memory")
    @classmethod
    def _memory_suffices(cls, value: int) -> int:
        if value < 64 * 2**20:
            raise ValueError("an agent's container cannot start with less than 64m of memory")
        return value

    @property
    def threads(self) -> int:
        """Threads a library should start: whole cores of ``cpus``, at least one."""
        return max(1, math.floor(self.cpus))


class Mount(Frozen):
    """A host file or folder, shown read-only at a place in the container. Writable places are volumes only."""

    source: Path
    """Absolute host path. A folder that holds the host's secrets is refused."""
    target: str
    """Absolute path in the container."""
    read_only: Literal[True] = True
    """Always: what a container may write is bounded, and a host folder is not."""

    @field_validator("source")
    @classmethod
    def _source_is_safe(cls, value: Path) -> Path:
        if not value.is_absolute() or ".." in value.parts:
            raise ValueError(f"mount source {value} must be an absolute path without '..'")
        check_host_path(value)
        return value

    @field_validator("target")
    @classmethod
    def _target_is_plain(cls, value: str) -> str:
        check_target(value)
        for reserved in _RESERVED:
            if overlaps(value, reserved):
                raise ValueError(f"mount target {value} overlaps {reserved}, which the sandbox itself provides")
        return value


def check_host_path(path: Path) -> None:
    """Refuse host paths whose content is the host.

    Raises:
        ValueError: inside a kernel file system, or at or above credentials or the engine's socket.
    """
    for kernel in _HOST_KERNEL:
        if path.is_relative_to(kernel):
            raise ValueError(f"{path} is inside {kernel}: the host's kernel files stay outside")
    for secret in (*_HOST_SECRETS, str(Path.home())):
        if Path(secret).is_relative_to(path):
            raise ValueError(f"{path} would show the container the host's {secret}; mount a folder further down")


def check_target(value: str) -> None:
    """A target in the container: absolute, plain, not the root.

    Raises:
        ValueError: it is not.
    """
    path = PurePosixPath(value)
    if not value.startswith("/") or str(path) != value or ".." in path.parts or value.startswith("//"):
        raise ValueError(f"mount target {value!r} must be an absolute, normalised path")
    if value == "/" or any(ord(letter) < 32 or letter in ",:" for letter in value):
        raise ValueError(f"mount target {value!r} cannot be mounted")


def overlaps(one: str, other: str) -> bool:
    """Whether one path is the other, or inside it."""
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


class ContainerSpec(Frozen):
    """One container, complete. Start it with ``curation_sandbox.container.Container``."""

    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
    """The run it belongs to; a label, by which leftovers are found."""
    image: str
    """Image id or tag; give the id (digest) for a run that is recorded."""
    command: tuple[str, ...] = Field(min_length=1)
    """argv of the agent, run as ``user`` in ``workdir``, under a small init process."""
    environment: dict[str, str] = {}
    """Variables of the agent's own, over the sandbox's few; nothing is taken from the host's environment."""
    limits: Limits = Limits()
    """What it may use."""
    mounts: tuple[Mount, ...] = ()
    """Read-only folders and files, the pool first of all."""
    sockets: Path | None = None
    """Host folder with this run's sockets, shown read-only at ``/run/curation``. One per run."""
    workspace: Path | None = None
    """Host path of the attached workspace volume; without one, ``/workspace`` is a tmpfs."""
    home: Path | None = None
    """Host path of the attached home volume; without one, ``/home/agent`` is a tmpfs."""
    user: tuple[int, int] = (1000, 1000)
    """uid and gid; never root."""
    workdir: str = WORKSPACE
    """Working directory."""
    labels: dict[str, str] = {}
    """Further labels."""
    runtime: str | None = None
    """Another OCI runtime the engine knows, e.g. ``runsc``; none: the engine's own."""
    interactive: bool = False
    """A terminal, for a person in the agent's seat: ``Container.interact``."""

    @field_validator("user")
    @classmethod
    def _not_root(cls, value: tuple[int, int]) -> tuple[int, int]:
        if min(value) < 1:
            raise ValueError("the agent does not run as root: give a uid and a gid above 0")
        return value

    @field_validator("sockets", "workspace", "home")
    @classmethod
    def _host_path_is_safe(cls, value: Path | None) -> Path | None:
        if value is not None:
            if not value.is_absolute() or ".." in value.parts:
                raise ValueError(f"{value} must be an absolute path without '..'")
            check_host_path(value)
        return value

    @field_validator("environment")
    @classmethod
    def _variables_are_plain(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not name or "=" in name or "\0" in name + text:
                raise ValueError(f"environment variable {name!r} cannot be passed")
        return value

    @model_validator(mode="after")
    def _mounts_are_apart(self) -> ContainerSpec:
        for index, mount in enumerate(self.mounts):
            for other in self.mounts[:index]:
                if overlaps(mount.target, other.target):
                    raise ValueError(f"mounts {other.target} and {mount.target} overlap")
        for mount in self.mounts:
            for name in ("sockets", "workspace", "home"):
                own: Path | None = getattr(self, name)
                if own is not None and (own.is_relative_to(mount.source) or mount.source.is_relative_to(own)):
                    raise ValueError(f"mount {mount.source} and the {name} folder {own} overlap on the host")
        return self

    def full_environment(self) -> dict[str, str]:
        """The sandbox's own variables, then the spec's over them. ``PATH`` is the image's."""
        threads = str(self.limits.threads)
        return {
            "HOME": HOME,
            "USER": "agent",
            "LOGNAME": "agent",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TMPDIR": "/tmp",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(THREAD_VARIABLES, threads),
            **self.environment,
        }
