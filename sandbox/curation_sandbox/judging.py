"""What the sandbox relies on, judged from what ``incontainer/look_around.py`` printed in a container."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from curation_sandbox.cgroups import Enforced
from curation_sandbox.spec import HOSTNAME, Frozen, Limits, format_size
from curation_sandbox.volumes import why_unbounded

Group = Literal["host", "network", "capabilities", "mounts", "limits", "sockets", "system calls", "users"]

UNKNOWN: Final = Enforced(memory=None, pids=None, cpus=None)
_SHOWN: Final = ("/pool", "/run/curation")
"""Read-only in every container."""
_REFUSED: Final = frozenset({"EPERM", "ENOSYS", "EACCES", "ENXIO", "killed"})
"""``ENXIO``: a device file with no device behind it; ``killed``: for the call, by the filter."""
_NO_WAY: Final = frozenset({"ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EPERM"})
"""``ECONNREFUSED``: the container's own loopback, on which nothing listens."""
_FIX: Final = "Do not run agents on this engine; report this with `docker info` and the kernel's version."


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
    group: Group = "host"
    """What it is about."""


def checked(
    name: str, holds: bool, detail: str, fix: str, *, required: bool = True, group: Group = "host"
) -> Property:
    return Property(name=name, holds=holds, detail=detail, fix="" if holds else fix, required=required, group=group)


def judge(seen: Mapping[str, Any], limits: Limits, enforced: Enforced = UNKNOWN) -> Iterator[Property]:
    """The properties.

    Args:
        seen: what was printed in a container with these limits.
        enforced: what the host's kernel says of that container; where it says nothing, the container's own view
            counts.
    """
    yield from _network(seen)
    yield from _capabilities(seen)
    yield from _mounts(seen)
    yield from _limits(seen, limits, enforced)
    yield from _sockets(seen)
    yield from _system_calls(seen)
    yield from _users(seen)


def _network(seen: Mapping[str, Any]) -> Iterator[Property]:
    yield _inside("network", "loopback only", seen["interfaces"] == ["lo"], _list(seen["interfaces"]))
    yield _inside("network", "no route out", not seen["routes"], _list(seen["routes"]) or "none")
    reached = {address: how for address, how in seen["reached"].items() if how not in _NO_WAY}
    yield _inside("network", "no address reached", not reached, _pairs(reached or seen["reached"]))
    yield _inside("network", "own loopback usable", seen["loopback"] == "connected", seen["loopback"])


def _capabilities(seen: Mapping[str, Any]) -> Iterator[Property]:
    held = {name: f"{value:#x}" for name, value in seen["capabilities"].items() if value}
    yield _inside("capabilities", "no capabilities", not held, _pairs(held) or "all zero")
    yield _refused("capabilities", "privileges refused", seen["privileges"])
    nnp = seen["no_new_privs"]
    yield _inside("capabilities", "no new privileges", nnp == 1, f"prctl says {nnp}")


def _mounts(seen: Mapping[str, Any]) -> Iterator[Property]:
    for target in ("/", *_SHOWN):
        options, outcome = seen["mounts"].get(target, []), seen["written"][target]
        # shown folders are open to everybody on the host: what refuses is the mount, whatever a runtime calls it
        holds = outcome == "EROFS" or (outcome == "EACCES" and "ro" in options)
        detail = f"{','.join(options) or 'not a mount'}; writing: {outcome}"
        yield _inside("mounts", f"{target} read-only", holds, detail)
    for target in (*_SHOWN, "/workspace", "/home/agent"):
        options = seen["mounts"].get(target, [])
        fix = (
            "Run the harness as root for it; a runtime with a kernel of its own does not show it. Without it,"
            " no-new-privileges and the engine's device rules stop set-user-id programs and device files."
        )
        holds = "nosuid" in options and "nodev" in options
        yield checked(f"{target} nosuid, nodev", holds, ",".join(options), fix, required=False, group="mounts")
    for folder in ("/workspace", "/home/agent", "/tmp"):
        outcome = seen["written"][folder]
        yield _inside("mounts", f"{folder} writable", outcome == "written", outcome)
    opened = {path: how for path, how in seen["kernel_files"].items() if how == "opened"}
    yield _inside("mounts", "kernel settings closed", not opened, _pairs(opened or seen["kernel_files"]))
    yield _inside("mounts", "no devices", not seen["devices"], _list(seen["devices"]) or "the usual ones")


def _limits(seen: Mapping[str, Any], limits: Limits, enforced: Enforced) -> Iterator[Property]:
    memory = enforced.memory if enforced.memory is not None else seen["memory"]
    pids = enforced.pids if enforced.pids is not None else seen["pids"]
    yield _inside("limits", "memory limit", memory == limits.memory, f"{memory}, asked for {limits.memory}")
    yield _inside("limits", "pids limit", pids == limits.pids, f"{pids}, asked for {limits.pids}")
    if enforced.cpus is not None:  # nothing inside tells it
        holds = abs(enforced.cpus - limits.cpus) < 0.01
        yield _inside("limits", "processor limit", holds, f"{enforced.cpus:g}, asked for {limits.cpus:g}")
    asked = {"fsize": limits.file_size, "nofile": limits.open_files, "core": 1}
    yield _inside("limits", "limits of a process", seen["rlimits"] == asked, _pairs(seen["rlimits"]))
    bounds = {
        "/tmp": (limits.tmp_size, True),
        "/dev/shm": (limits.shm_size, True),
        "/workspace": (limits.workspace_size, False),
        "/home/agent": (limits.home_size, False),
    }
    for folder, (limit, required) in bounds.items():
        yield _bounded(seen, folder, limit, required=required)


def _bounded(seen: Mapping[str, Any], folder: str, limit: int, *, required: bool) -> Property:
    size, filled = seen["size"].get(folder, {}).get("bytes", 0), seen["filled"][folder]
    holds = 0 < size <= limit and filled["bytes"] <= limit and filled["ended"] in ("ENOSPC", "EDQUOT")
    fix = f"Its size is not bounded: {why_unbounded() or 'the engine ignores the limit'}."
    detail = (
        f"{format_size(size)}, asked for {format_size(limit)};"
        f" took {format_size(filled['bytes'])}, then {filled['ended']}"
    )
    return checked(f"{folder} bounded", holds, detail, fix, required=required, group="limits")


def _sockets(seen: Mapping[str, Any]) -> Iterator[Property]:
    if (answered := seen["socket"]) is not None:
        fix = "The runtime keeps the host's sockets away. gVisor lets them through with --host-uds=open."
        yield checked("own socket answers", answered == "connected", answered, fix, group="sockets")
        removed = seen["socket_removed"]
        yield _inside("sockets", "own socket stays", removed in ("EROFS", "EACCES", "EPERM"), f"removing: {removed}")
    if (hidden := seen["abstract"]) is not None:
        yield _inside("sockets", "host's nameless sockets hidden", hidden != "connected", hidden)
    engine = seen["engine_socket"]
    yield _inside("sockets", "no engine socket", not engine, _list(engine) or "none")


def _system_calls(seen: Mapping[str, Any]) -> Iterator[Property]:
    fix = (
        "The engine or the runtime applies no filter of system calls. gVisor does with --oci-seccomp;"
        " with another runtime, do not run agents."
    )
    found = seen["seccomp"]
    yield checked("system call filter", found == "2", f"Seccomp {found}", fix, group="system calls")
    yield _refused("system calls", "system calls refused", seen["calls"], fix)
    yield _refused("system calls", "socket families refused", seen["families"], fix)


def _users(seen: Mapping[str, Any]) -> Iterator[Property]:
    uid, gid, groups = seen["uid"], seen["gid"], seen["groups"]
    yield _inside("users", "not root", uid == 1000 and gid == 1000, f"uid {uid}, gid {gid}")
    yield _inside("users", "no other group", set(groups) <= {1000}, _list(map(str, groups)) or "none")
    yield _inside("users", "host processes hidden", seen["processes"] <= 4, f"{seen['processes']} processes seen")
    yield _inside("users", "host's name hidden", seen["hostname"] == HOSTNAME, seen["hostname"])


def _inside(group: Group, name: str, holds: bool, detail: str) -> Property:
    return checked(name, holds, detail, _FIX, group=group)


def _refused(group: Group, name: str, outcomes: Mapping[str, str], fix: str = _FIX) -> Property:
    allowed = [one for one, outcome in outcomes.items() if outcome not in _REFUSED]
    detail = f"allowed: {', '.join(allowed)}" if allowed else ", ".join(outcomes)
    return checked(name, not allowed, detail, fix, group=group)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _pairs(found: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in found.items())
