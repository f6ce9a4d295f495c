#!/usr/bin/env python3
"""Look around from inside a container and print what was found, as JSON. Judged on the host, by ``judging.py``.

Tries what must be refused, with calls that would do no harm if they were not.

Options: ``--tcp ADDRESS:PORT`` (repeatable) an address of the host where something listens; ``--abstract NAME`` a
socket of the host without a file; ``--socket PATH`` one with a file, which must answer; ``--wait`` until it says so.
"""

# One file, standard library only, Python >= 3.9: it is mounted read-only into containers of any make.

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import socket
import stat
from collections.abc import Callable
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
X32_GETPID = 0x40000000 | 39
"""The same kernel by another table of calls, which a filter made for one table would not see."""
SOCKET_FAMILIES = {"AF_VSOCK": 40, "AF_ALG": 38, "AF_PACKET": 17}
FOLDERS = ("/", "/etc", "/pool", "/run/curation", "/workspace", "/home/agent", "/tmp")
BOUNDED = ("/workspace", "/home/agent", "/tmp", "/dev/shm")
KERNEL_FILES = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper")
OUTSIDE = ("192.0.2.1:80", "169.254.169.254:80", "[2001:db8::1]:80")
"""Nobody's address, where clouds tell a machine who it is, nobody's in the newer protocol."""
MOST = 64 * 2**20
"""Bytes that are written into a folder to see where it ends."""
PIECE = 2**20
PR_GET_NO_NEW_PRIVS = 39
SECONDS = 20.0


def tried(action: Callable[[], Any], done: str = "allowed") -> str:
    """``done``, or the name of the error."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "timed out" if isinstance(error, socket.timeout) else "?")
    return done


def refusal(number: int, arguments: tuple[int, ...]) -> str:
    """``allowed``, or the name of the error."""
    ctypes.set_errno(0)
    result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(value) for value in arguments])
    if result >= 0:
        return "allowed"
    return errno.errorcode.get(ctypes.get_errno(), "?")


def in_a_child(number: int) -> str:
    """As ``refusal``, for a call that the caller may not survive: then ``killed``."""
    child = os.fork()
    if child == 0:
        os._exit(0 if refusal(number, ()) == "allowed" else 1)
    _, how = os.waitpid(child, 0)
    if os.WIFSIGNALED(how):
        return "killed"
    return "allowed" if how == 0 else "EPERM"


def calls() -> dict[str, str]:
    arm = platform.machine() == "aarch64"
    found = {name: refusal(on_arm if arm else on_x86, args) for name, (on_x86, on_arm, args) in CALLS.items()}
    if not arm:
        found["getpid by the x32 table"] = in_a_child(X32_GETPID)
    return found


def families() -> dict[str, str]:
    def opened(number: int) -> str:
        return tried(lambda: socket.socket(number, socket.SOCK_STREAM).close())

    return {name: opened(number) for name, number in SOCKET_FAMILIES.items()}


def disk_used() -> None:
    """Make a device file and open it. gVisor lets anybody make one: what counts is that nothing is behind it."""
    place = "/tmp/.curation-device"
    os.mknod(place, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    try:
        os.close(os.open(place, os.O_RDONLY))
    finally:
        Path(place).unlink()


def privileges() -> dict[str, str]:
    """What takes a capability, each tried."""
    own = Path("/tmp/.curation-privilege")
    own.write_bytes(b"")
    found = {
        "become root": tried(lambda: os.setuid(0)),
        "take a group": tried(lambda: os.setgroups([0])),
        "give a file to root": tried(lambda: os.chown(own, 0, 0)),
        "use a disk": tried(disk_used),
        "change the root": tried(lambda: os.chroot("/tmp")),
        "raw packets": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
        "rename the host": tried(lambda: socket.sethostname("other")),
    }
    own.unlink()
    return found


def connected(address: str) -> str:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def connect() -> None:
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.settimeout(1.0)
            made.connect((host, int(port)))

    return tried(connect, "connected")


def loopback() -> str:
    """The agent's own loopback must work: the model is asked through it."""

    def talk() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), 2.0).close()

    return tried(talk, "connected")


def routes() -> list[str]:
    """Interfaces that a packet could leave by."""
    found = []
    for path, column in (("/proc/net/route", 0), ("/proc/net/ipv6_route", -1)):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        found += [line.split()[column] for line in lines if line.split()]
    return sorted({name for name in found if name not in ("Iface", "lo")})


def unix_socket(address: str, wait: bool = False) -> str:
    def connect() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
            made.settimeout(SECONDS)
            made.connect(address)
            if wait:
                made.recv(1)

    return tried(connect, "connected")


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

    def write() -> None:
        path.write_bytes(b"x")
        path.unlink()

    return tried(write, "written")


def opened_to_write(path: str) -> str:
    return tried(lambda: os.close(os.open(path, os.O_WRONLY)), "opened")


def size(folder: str) -> dict[str, int]:
    try:
        found = os.statvfs(folder)
    except OSError:
        return {}
    return {"bytes": found.f_blocks * found.f_frsize, "files": found.f_files}


def filled(folder: str) -> dict[str, Any]:
    """How many bytes the folder takes, in files of one piece each, and what ends it."""
    names: list[Path] = []
    taken, ended = 0, "not full"
    piece = bytes(PIECE)
    while taken < MOST and ended == "not full":
        name = Path(folder) / f".curation-fill-{len(names)}"
        names.append(name)
        try:
            name.write_bytes(piece)
            taken += PIECE
        except OSError as error:
            ended = errno.errorcode.get(error.errno or 0, "?")
    for name in names:
        with contextlib.suppress(OSError):
            name.unlink()
    return {"bytes": taken, "ended": ended}


def devices() -> list[str]:
    """Block devices, and character devices beyond the ones that every program needs."""
    usual = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    usual.add("fuse")  # gVisor's own, of no use without mounting
    found = []
    for entry in sorted(os.scandir("/dev"), key=lambda one: one.name):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and entry.name not in usual):
            found.append(entry.name)
    return found


def first_number(*paths: str) -> int | None:
    for path in paths:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            continue
    return None


def rlimits() -> dict[str, int]:
    names = {"fsize": resource.RLIMIT_FSIZE, "nofile": resource.RLIMIT_NOFILE, "core": resource.RLIMIT_CORE}
    return {name: resource.getrlimit(number)[1] for name, number in names.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tcp", action="append", default=[])
    parser.add_argument("--abstract")
    parser.add_argument("--socket")
    parser.add_argument("--wait", action="store_true")
    return parser.parse_args()


def look(given: argparse.Namespace) -> dict[str, Any]:
    seen = status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "interfaces": sorted(name for _, name in socket.if_nameindex()),
        "routes": routes(),
        "reached": {address: connected(address) for address in (*OUTSIDE, *given.tcp)},
        "loopback": loopback(),
        "socket": unix_socket(given.socket, given.wait) if given.socket else None,
        "abstract": unix_socket("\0" + given.abstract) if given.abstract else None,
        "socket_removed": tried(Path(given.socket).unlink, "removed") if given.socket else None,
        "capabilities": {name: int(value, 16) for name, value in seen.items() if name.startswith("Cap")},
        "privileges": privileges(),
        "no_new_privs": LIBC.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        "seccomp": seen.get("Seccomp"),
        "mounts": mounts(),
        "written": {folder: written(folder) for folder in FOLDERS},
        "kernel_files": {path: opened_to_write(path) for path in KERNEL_FILES},
        "size": {folder: size(folder) for folder in BOUNDED},
        "filled": {folder: filled(folder) for folder in BOUNDED},
        "calls": calls(),
        "families": families(),
        "memory": first_number("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "pids": first_number("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
        "rlimits": rlimits(),
        "hostname": socket.gethostname(),
        "processes": sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
        "devices": devices(),
        "environment": sorted(os.environ),
        "engine_socket": [
            path for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd") if Path(path).exists()
        ],
    }


if __name__ == "__main__":
    print(json.dumps(look(arguments())))
