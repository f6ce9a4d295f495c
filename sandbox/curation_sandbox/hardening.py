"""The hardened set, written once and in full: a ``ContainerSpec`` as the engine's own JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from curation_sandbox.spec import HOME, HOSTNAME, SOCKETS, WORKSPACE, ContainerSpec

SECCOMP: Final = resources.files("curation_sandbox") / "seccomp.json"
"""The allow-list of system calls, in Docker's format, with a comment per group."""

# The engine's own list (with what later engines added), and what tells of the host's other runs: the files behind
# loop devices are named in /sys, the file systems on them in /proc/fs, the machine's boot line in /proc/cmdline.
MASKED: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/cmdline",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/ext4",
)


class Bind(NamedTuple):
    """A host path that the engine is told to show."""

    source: Path
    target: str
    writable: bool
    """What the engine is told. A staged bind is read-only by its own mount flags, which the engine's
    ``ReadOnly`` would replace (dropping nosuid and nodev), and so is given as writable."""


def seccomp_profile() -> str:
    """The profile, as the engine's API takes it: minified JSON without the comments."""
    profile = json.loads(SECCOMP.read_text(encoding="utf-8"))
    for rule in profile["syscalls"]:
        rule.pop("comment", None)
    return json.dumps(profile, separators=(",", ":"))


def engine_json(spec: ContainerSpec, binds: Sequence[Bind], labels: dict[str, str]) -> dict[str, Any]:
    """The body of the engine's create call."""
    uid, gid = spec.user
    return {
        "Image": spec.image,
        "Entrypoint": [],  # the image's own does not run
        "Cmd": list(spec.command),
        "Env": [f"{name}={value}" for name, value in spec.full_environment().items()],
        "User": f"{uid}:{gid}",
        "WorkingDir": spec.workdir,
        "Hostname": HOSTNAME,
        "Labels": labels,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Tty": spec.interactive,
        "OpenStdin": spec.interactive,
        "StdinOnce": spec.interactive,
        "AttachStdin": spec.interactive,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _isolation(spec) | _limits(spec) | _storage(spec, binds),
    }


def _isolation(spec: ContainerSpec) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "Dns": ["127.0.0.1"],  # else the host's resolvers are written into resolv.conf
        "DnsSearch": ["."],
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
        "MaskedPaths": list(MASKED),
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Init": True,
        "LogConfig": {"Type": "none", "Config": {}},  # log files have no bound
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # the exit state is read after the end
    }
    if spec.runtime is not None:
        config["Runtime"] = spec.runtime
    return config


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    limits = spec.limits
    return {
        "Memory": limits.memory,
        "MemorySwap": limits.memory,  # memory and swap together: no swap on top
        "NanoCpus": round(limits.cpus * 1e9),
        "PidsLimit": limits.pids,
        "Ulimits": [
            {"Name": name, "Soft": value, "Hard": value}
            # core 1, not 0: with 0 the kernel still starts the host's crash handler, where one is set up (core(5)).
            for name, value in (("fsize", limits.file_size), ("nofile", limits.open_files), ("core", 1))
        ],
        "ShmSize": limits.shm_size,
    }


def _storage(spec: ContainerSpec, binds: Sequence[Bind]) -> dict[str, Any]:
    uid, gid = spec.user
    limits = spec.limits
    own = f"nosuid,nodev,exec,uid={uid},gid={gid},mode=0700"
    tmpfs = {"/tmp": f"nosuid,nodev,exec,mode=1777,size={limits.tmp_size},nr_inodes={limits.tmp_inodes}"}
    if spec.workspace is None:
        tmpfs[WORKSPACE] = f"{own},size={limits.workspace_size},nr_inodes={limits.tmp_inodes}"
    if spec.home is None:
        tmpfs[HOME] = f"{own},size={limits.home_size},nr_inodes={limits.tmp_inodes}"
    shown = list(binds)
    for source, target in ((spec.workspace, WORKSPACE), (spec.home, HOME)):
        if source is not None:
            shown.append(Bind(source, target, writable=True))
    return {
        "Tmpfs": tmpfs,
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(bind.source),
                "Target": bind.target,
                "ReadOnly": not bind.writable,
                # A mount below the source would be writable even under a read-only bind.
                "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
            }
            for bind in shown
        ],
    }


def read_only_binds(spec: ContainerSpec) -> list[tuple[Path, str]]:
    """Source and target of everything that is shown read-only."""
    binds = [(mount.source, mount.target) for mount in spec.mounts]
    if spec.sockets is not None:
        binds.append((spec.sockets, SOCKETS))
    return binds
