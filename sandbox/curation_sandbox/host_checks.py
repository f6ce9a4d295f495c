"""What the sandbox relies on of the host: its engine, kernel, disks, and the rights of who runs the harness."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation_sandbox import engine as engines
from curation_sandbox.engine import EngineInfo
from curation_sandbox.errors import CurationError
from curation_sandbox.judging import Property, checked
from curation_sandbox.spec import format_size
from curation_sandbox.volumes import why_unbounded

NEEDED_DISK: Final = 5 * 2**30
"""Free bytes that images, volumes and a run's record want."""
_OLDEST_KERNEL: Final = (5, 4)


def host_properties(folder: Path | None = None) -> list[Property]:
    """What the machine offers; ``folder`` is where runs will be kept (default: the current one)."""
    return [*_engine_properties(), *_machine_properties(folder or Path.cwd())]


def _engine_properties() -> Iterator[Property]:
    try:
        with engines.connect() as engine:
            info = engine.info()
    except CurationError as error:
        yield checked("engine", False, error.message, error.hint or "")
        return
    yield checked("engine", True, f"Docker {info.version}, API {info.api_version}", "")
    seccomp = any("seccomp" in option for option in info.security)
    fix = "Use an engine and a kernel with seccomp."
    yield checked("system call filters", seccomp, ", ".join(info.security), fix)
    overlay = info.storage_driver in ("overlay2", "overlayfs", "btrfs", "zfs", "fuse-overlayfs")
    fix = "Start dockerd with --storage-driver=overlay2."
    yield checked("storage driver", overlay, info.storage_driver, fix, required=False)
    yield _limits_property(info)
    yield _disk("disk of the engine", Path(info.root_dir))


def _limits_property(info: EngineInfo) -> Property:
    missing = [limit for limit in info.unenforced if limit != "swap"]
    detail = f"cgroup v{info.cgroup_version}" + (f", without {', '.join(info.unenforced)}" if info.unenforced else "")
    fix = "A rootless engine needs cgroup v2 with delegation; on cgroup v1 run the engine as root."
    return checked("limits enforced", not missing, detail, fix)


def _machine_properties(folder: Path) -> Iterator[Property]:
    why = why_unbounded()
    yield checked(
        "bounded volumes", why is None, why or "loop-mounted ext4",
        "As root, with loop devices and e2fsprogs, /workspace gets a size bound.", required=False,
    )  # fmt: skip
    yield checked(
        "root", os.geteuid() == 0, f"uid {os.geteuid()}",
        "Without root: volumes have no size bound, binds are not nosuid and nodev.", required=False,
    )  # fmt: skip
    yield _disk("disk of the runs", folder)
    release = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    fix = f"Use kernel {'.'.join(map(str, _OLDEST_KERNEL))} or newer."
    yield checked("kernel", platform.system() == "Linux" and numbers >= _OLDEST_KERNEL, release, fix)
    found = shutil.which("mmdebstrap") or shutil.which("debootstrap")
    fix = "Only for building the base image without a registry: apt-get install mmdebstrap."
    yield checked("mmdebstrap", found is not None, found or "not installed", fix, required=False)


def _disk(name: str, folder: Path) -> Property:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return checked(name, False, detail, "Its free space cannot be seen.", required=False)
    fix = f"Free some: {format_size(NEEDED_DISK)} are wanted; `harness clean`, `docker system df`."
    return checked(name, free >= NEEDED_DISK, f"{format_size(free)} free at {folder}", fix, required=False)
