#!/usr/bin/env python3
"""Look around from inside a container and print what was found, as JSON. Judged on the host, by ``conformance.py``.

Tries what must be refused, with calls that would do no harm if they were not.
"""

# One file, standard library only, Python >= 3.9: it is mounted read-only into containers of any make.

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import socket
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)

# Name -> (number on x86_64, on aarch64, arguments). With these arguments an allowed call either succeeds
# without effect or fails with something else than EPERM and ENOSYS (EFAULT, EINVAL, ESRCH …).
CALLS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "io_uring_setup": (425, 425, (1, 0)),
    "ptrace": (101, 117, (16, 0x7FFFFFFF, 0, 0)),  # PTRACE_ATTACH to nobody: ESRCH
    "process_vm_readv": (310, 270, (0x7FFFFFFF, 0, 0, 0, 0, 0)),
    "pidfd_getfd": (438, 438, (-1, 0, 0)),
    "mount": (165, 40, (0, 0, 0, 0, 0)),
    "umount2": (166, 39, (0, 0)),
    "open_tree": (428, 428, (-1, 0, 0)),
    "pivot_root": (155, 41, (0, 0)),
    "unshare": (272, 97, (0x10000000,)),  # a user namespace
    "setns": (308, 268, (-1, 0)),
    "keyctl": (250, 219, (0, -3, 0)),  # the id of the session keyring
    "add_key": (248, 217, (0, 0, 0, 0, 0)),
    "request_key": (249, 218, (0, 0, 0, 0)),
    "bpf": (321, 280, (0, 0, 0)),
    "perf_event_open": (298, 241, (0, 0, -1, -1, 0)),
    "userfaultfd": (323, 282, (1,)),  # for user mode only: needs no privilege
    "open_by_handle_at": (304, 265, (-1, 0, 0)),
}
FOLDERS = ("/", "/etc", "/pool", "/run/curation", "/workspace", "/tmp")
SOCKET_FAMILIES = {"AF_VSOCK": 40, "AF_ALG": 38, "AF_PACKET": 17}


def refusal(number: int, arguments: tuple[int, ...]) -> str:
    """``allowed``, or the name of the error."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments])
    if result >= 0:
        return "allowed"
    return errno.errorcode.get(ctypes.get_errno(), "?")


def calls() -> dict[str, str]:
    arm = platform.machine() == "aarch64"
    return {name: refusal(on_arm if arm else on_x86, args) for name, (on_x86, on_arm, args) in CALLS.items()}


def families() -> dict[str, str]:
    found = {}
    for name, number in SOCKET_FAMILIES.items():
        try:
            socket.socket(number, socket.SOCK_STREAM).close()
            found[name] = "allowed"
        except OSError as error:
            found[name] = errno.errorcode.get(error.errno or 0, "?")
    return found


def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mounts() -> dict[str, list[str]]:
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        found[fields[4]] = fields[5].split(",")
    return found


def written(folder: str) -> str:
    """``written``, or the name of the error, for a new file in the folder."""
    path = Path(folder) / ".curation-check"
    try:
        path.write_bytes(b"x")
        path.unlink()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "written"


def size(folder: str) -> dict[str, int]:
    try:
        found = os.statvfs(folder)
    except OSError:
        return {}
    return {"bytes": found.f_blocks * found.f_frsize, "files": found.f_files}


def first_number(*paths: str) -> int | None:
    for path in paths:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            continue
    return None


def look() -> dict[str, Any]:
    seen = status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "capabilities": {name: int(value, 16) for name, value in seen.items() if name.startswith("Cap")},
        "no_new_privs": seen.get("NoNewPrivs"),
        "seccomp": seen.get("Seccomp"),
        "mounts": mounts(),
        "written": {folder: written(folder) for folder in FOLDERS},
        "size": {folder: size(folder) for folder in ("/workspace", "/home/agent", "/tmp", "/dev/shm")},
        "calls": calls(),
        "families": families(),
        "memory": first_number("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "pids": first_number("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
        "hostname": socket.gethostname(),
        "processes": sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
        "environment": sorted(os.environ),
        "engine_socket": [
            path for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd") if Path(path).exists()
        ],
    }


if __name__ == "__main__":
    print(json.dumps(look()))
