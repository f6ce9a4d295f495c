"""Whether the sandbox's properties hold on this machine: of the host, and as seen from inside a container.

Used by ``harness doctor``. A property that does not hold comes with what to do about it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any, Final

from curation_sandbox import engine as engines
from curation_sandbox import images
from curation_sandbox.container import Container
from curation_sandbox.engine import Engine, EngineInfo
from curation_sandbox.errors import CurationError, EngineTooOld, EngineUnavailable
from curation_sandbox.spec import ContainerSpec, Frozen, Limits, Mount, format_size
from curation_sandbox.volumes import Volume, why_unbounded

NEEDED_DISK: Final = 5 * 2**30
"""Free bytes that images, volumes and a run's record want."""
_OLDEST_KERNEL: Final = (5, 4)
SCRIPT: Final = Path(str(resources.files("curation_sandbox"))) / "incontainer" / "look_around.py"
"""Runs inside, prints what it found."""
_SECONDS: Final = 60
_LIMITS: Final = Limits(
    memory=256 * 2**20,
    cpus=0.5,
    pids=64,
    workspace_size=16 * 2**20,
    home_size=16 * 2**20,
    tmp_size=16 * 2**20,
    shm_size=4 * 2**20,
)


class Property(Frozen):
    """One thing that the sandbox relies on."""

    name: str
    """Short, for a table."""
    holds: bool
    """Whether it does."""
    detail: str
    """What was found."""
    fix: str
    """What to do if it does not hold; empty when it does."""
    required: bool = True
    """False: without it something is weaker or missing, and a run is possible all the same."""


def examine(image: str) -> list[Property]:
    """Everything: the host's properties, and, if there is an engine and the image, the sandbox's."""
    found = host_properties()
    try:
        with engines.connect() as engine:
            found += sandbox_properties(engine, images.resolve(engine, image).digest)
    except CurationError as error:
        if not isinstance(error, EngineUnavailable | EngineTooOld):  # told above
            found.append(_checked("container", False, error.message, error.hint or ""))
    return found


def host_properties(folder: Path | None = None) -> list[Property]:
    """What the machine offers; ``folder`` is where runs will be kept (default: the current one)."""
    return [*_engine_properties(), *_machine_properties(folder or Path.cwd())]


def sandbox_properties(engine: Engine, image: str) -> list[Property]:
    """What holds inside a container of the image: starts one, looks around from inside, judges the answers.

    Raises:
        CurationError: the container cannot be run at all, or the image has no ``python3``.
    """
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curation-check-")))
        for name in ("pool", "sockets"):
            (run / name).mkdir()
        for name, size in (("workspace", _LIMITS.workspace_size), ("home", _LIMITS.home_size)):
            stack.enter_context(Volume(run / f"{name}.img", run / name, size))
        spec = ContainerSpec(
            run_id="conformance",
            image=image,
            command=("python3", "/opt/look_around.py"),
            limits=_LIMITS,
            mounts=(
                Mount(source=run / "pool", target="/pool"),
                Mount(source=SCRIPT, target="/opt/look_around.py"),
            ),
            sockets=run / "sockets",
            workspace=run / "workspace",
            home=run / "home",
        )
        return list(judge(_seen(engine, spec), _LIMITS))


def judge(seen: dict[str, Any], limits: Limits) -> Iterator[Property]:
    """The properties, from what ``SCRIPT`` printed in a container with these limits."""
    capabilities = {name: value for name, value in seen["capabilities"].items() if value}
    yield _inside("network: loopback only", seen["interfaces"] == ["lo"], ", ".join(seen["interfaces"]))
    yield _inside("no capabilities", not capabilities, ", ".join(capabilities) or "all zero")
    yield _inside("no new privileges", seen["no_new_privs"] == "1", f"NoNewPrivs {seen['no_new_privs']}")
    yield _inside("system call filter", seen["seccomp"] == "2", f"Seccomp {seen['seccomp']}")
    yield _inside("not root", seen["uid"] == 1000 and seen["gid"] == 1000, f"uid {seen['uid']}, gid {seen['gid']}")
    for target in ("/", "/pool", "/run/curation"):
        options, outcome = seen["mounts"].get(target, []), seen["written"][target]
        holds = "ro" in options and outcome in ("EROFS", "EACCES")
        yield _inside(f"{target} read-only", holds, f"{','.join(options) or 'not a mount'}; writing: {outcome}")
    yield from _flags(seen)
    yield _refused("system calls refused", seen["calls"])
    yield _refused("socket families refused", seen["families"])
    for folder in ("/workspace", "/tmp"):
        outcome = seen["written"][folder]
        yield _inside(f"{folder} writable", outcome == "written", outcome)
    yield _bounded(seen, "/tmp", limits.tmp_size, required=True)
    yield _bounded(seen, "/dev/shm", limits.shm_size, required=True)
    yield _bounded(seen, "/workspace", limits.workspace_size, required=False)
    yield _bounded(seen, "/home/agent", limits.home_size, required=False)
    for name, limit in (("memory", limits.memory), ("pids", limits.pids)):
        yield _inside(f"{name} limit", seen[name] == limit, f"{seen[name]}, asked for {limit}")
    yield _inside("no engine socket", not seen["engine_socket"], ", ".join(seen["engine_socket"]) or "none")
    yield _inside("host processes hidden", seen["processes"] <= 4, f"{seen['processes']} processes seen")


def _seen(engine: Engine, spec: ContainerSpec) -> dict[str, Any]:
    output: list[bytes] = []
    with Container(engine, spec) as container:
        container.start(output.append)
        status = container.wait(_SECONDS)
    said = b"".join(output).decode(errors="replace")
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    if status is None or status.code != 0 or not isinstance(found, dict):
        raise CurationError(
            f"The check inside a container of {spec.image} did not finish ({status}): {said[-500:]}",
            hint="The image needs python3. Try: docker run --rm --entrypoint python3 IMAGE --version",
        )
    return found


def _inside(name: str, holds: bool, detail: str) -> Property:
    fix = "Do not run agents on this engine; report this with `docker info` and the kernel's version."
    return _checked(name, holds, detail, fix)


def _refused(name: str, outcomes: dict[str, str]) -> Property:
    allowed = [one for one, outcome in outcomes.items() if outcome not in ("EPERM", "ENOSYS", "EACCES")]
    return _inside(name, not allowed, f"allowed: {', '.join(allowed)}" if allowed else ", ".join(outcomes))


def _flags(seen: dict[str, Any]) -> Iterator[Property]:
    for target in ("/pool", "/run/curation", "/workspace", "/home/agent"):
        options = seen["mounts"].get(target, [])
        holds = "nosuid" in options and "nodev" in options
        fix = (
            "Run the harness as root for it; until then no-new-privileges and the engine's device rules stop"
            " set-user-id programs and device files."
        )
        yield _checked(f"{target} nosuid, nodev", holds, ",".join(options), fix, required=False)


def _bounded(seen: dict[str, Any], folder: str, limit: int, *, required: bool) -> Property:
    size = seen["size"].get(folder, {}).get("bytes", 0)
    holds = 0 < size <= limit
    fix = f"Its size is not bounded: {why_unbounded() or 'the engine ignores the limit'}."
    detail = f"{format_size(size)}, asked for {format_size(limit)}"
    return _checked(f"{folder} bounded", holds, detail, fix, required=required)


def _engine_properties() -> Iterator[Property]:
    try:
        with engines.connect() as engine:
            info = engine.info()
    except CurationError as error:
        yield _checked("engine", False, error.message, error.hint or "")
        return
    yield _checked("engine", True, f"Docker {info.version}, API {info.api_version}", "")
    seccomp = any("seccomp" in option for option in info.security)
    fix = "Use an engine and a kernel with seccomp."
    yield _checked("system call filters", seccomp, ", ".join(info.security), fix)
    overlay = info.storage_driver in ("overlay2", "overlayfs", "btrfs", "zfs", "fuse-overlayfs")
    fix = "Start dockerd with --storage-driver=overlay2."
    yield _checked("storage driver", overlay, info.storage_driver, fix, required=False)
    yield _limits_property(info)
    yield _disk("disk of the engine", Path(info.root_dir))


def _limits_property(info: EngineInfo) -> Property:
    missing = [limit for limit in info.unenforced if limit != "swap"]
    detail = f"cgroup v{info.cgroup_version}" + (f", without {', '.join(info.unenforced)}" if info.unenforced else "")
    fix = "A rootless engine needs cgroup v2 with delegation; on cgroup v1 run the engine as root."
    return _checked("limits enforced", not missing, detail, fix)


def _machine_properties(folder: Path) -> Iterator[Property]:
    why = why_unbounded()
    yield _checked(
        "bounded volumes", why is None, why or "loop-mounted ext4",
        "As root, with loop devices and e2fsprogs, /workspace gets a size bound.", required=False,
    )  # fmt: skip
    yield _checked(
        "root", os.geteuid() == 0, f"uid {os.geteuid()}",
        "Without root: volumes have no size bound, binds are not nosuid and nodev.", required=False,
    )  # fmt: skip
    yield _disk("disk of the runs", folder)
    release = platform.release()
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    fix = f"Use kernel {'.'.join(map(str, _OLDEST_KERNEL))} or newer."
    yield _checked("kernel", platform.system() == "Linux" and numbers >= _OLDEST_KERNEL, release, fix)
    found = shutil.which("mmdebstrap") or shutil.which("debootstrap")
    fix = "Only for building the base image without a registry: apt-get install mmdebstrap."
    yield _checked("mmdebstrap", found is not None, found or "not installed", fix, required=False)


def _disk(name: str, folder: Path) -> Property:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        detail = f"{folder}: {error.strerror}"
        return _checked(name, False, detail, "Its free space cannot be seen.", required=False)
    fix = f"Free some: {format_size(NEEDED_DISK)} are wanted; `harness clean`, `docker system df`."
    return _checked(name, free >= NEEDED_DISK, f"{format_size(free)} free at {folder}", fix, required=False)


def _checked(name: str, holds: bool, detail: str, fix: str, *, required: bool = True) -> Property:
    return Property(name=name, holds=holds, detail=detail, fix="" if holds else fix, required=required)
