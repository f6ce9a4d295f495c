"""Attacks on what the container shows: keys, sockets, mounts, other processes, limits."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from talk import SOCKETS

Given = dict[str, Any]
KEY = re.compile(rb"sk-[a-z]+-[0-9a-f]{8,}")
DECOY = "sk-" + "decoy-00000000"
"""Planted by the search itself, to see that it finds keys."""
_LIBC = ctypes.CDLL(None, use_errno=True)


def attempt(act: Callable[[], Any]) -> str:
    """``done``, or why not."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except (ValueError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"


def called(code: int) -> None:
    """Raises what a call of the C library failed with."""
    if code < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


# ---------------------------------------------------------------- keys


def keys(given: Given) -> dict[str, list[str]]:
    """Where something that looks like a key stands."""
    Path("decoy.txt").write_text(f"key={DECOY}")
    sleeper = subprocess.Popen(["sleep", "60"], env={"DECOY": DECOY})
    shouter = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", DECOY])
    time.sleep(0.3)
    found = {
        "environments": _holding(_process_files("environ")),
        "command lines": _holding(_process_files("cmdline")),
        "files": _holding(_files()),
        "memory": _in_memory({os.getpid(), sleeper.pid, shouter.pid}),
        "planted": [f"/proc/{sleeper.pid}/environ", f"/proc/{shouter.pid}/cmdline", str(Path("decoy.txt").resolve())],
    }
    for process in (sleeper, shouter):
        process.kill()
        process.wait()
    return found


def _holding(places: Iterator[str]) -> list[str]:
    found = []
    for place in places:
        try:
            with open(place, "rb") as file:
                data = file.read(2**24)
        except OSError:
            continue
        if KEY.search(data):
            found.append(place)
    return found


def _process_files(name: str) -> Iterator[str]:
    for pid in processes():
        yield f"/proc/{pid}/{name}"
        if name == "environ":
            for thread in os.listdir(f"/proc/{pid}/task"):
                yield f"/proc/{pid}/task/{thread}/{name}"


def _files() -> Iterator[str]:
    for top in ("/agent", "/dev/shm", "/etc", "/home", "/mnt", "/opt", "/pool", "/root", "/run", "/srv", "/tmp", "/var"):
        yield from _below(top)
    yield from _below("/usr/local")
    yield from _below("/workspace")


def _below(top: str) -> Iterator[str]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path


def _in_memory(own: set[int]) -> list[str]:
    """Processes, but the cheater's, whose memory can be read and holds a key."""
    found = []
    for pid in set(processes()) - own:
        try:
            with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                for line in maps:
                    bounds, rights = line.split()[:2]
                    start, end = (int(part, 16) for part in bounds.split("-"))
                    if not rights.startswith("rw") or end - start > 2**28:
                        continue
                    memory.seek(start)
                    if KEY.search(memory.read(end - start) or b""):
                        found.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
        except (OSError, ValueError):
            continue
    return found


# ---------------------------------------------------------------- sockets


def sockets(given: Given) -> dict[str, str]:
    """Ways out by a socket, and what came of each."""
    tried = {}
    for address, port in given["addresses"]:
        tried[f"tcp {address}:{port}"] = attempt(lambda a=address, p=port: _tcp(a, p))
    for address in ("8.8.8.8", "127.0.0.11", "255.255.255.255", "2001:4860:4860::8888"):
        tried[f"udp {address}"] = attempt(lambda a=address: _udp(a))
    for name in given["abstract"]:
        tried[f"abstract {name}"] = attempt(lambda n=name: _unix("\0" + n))
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket"):
        tried[f"unix {path}"] = attempt(lambda p=path: _unix(p))
    for name, family, kind, protocol in (
        ("vsock", 40, socket.SOCK_STREAM, 0),
        ("packet", 17, socket.SOCK_RAW, 0),
        ("raw icmp", 2, socket.SOCK_RAW, 1),
        ("ping", 2, socket.SOCK_DGRAM, 1),
        ("crypto", 38, 5, 0),
        ("key", 15, socket.SOCK_RAW, 2),
        ("xdp", 44, socket.SOCK_RAW, 0),
        ("bluetooth", 31, socket.SOCK_RAW, 1),
        ("tipc", 30, socket.SOCK_STREAM, 0),
        ("smc", 43, socket.SOCK_STREAM, 0),
    ):
        tried[name] = attempt(lambda f=family, k=kind, p=protocol: _family(f, k, p))
    return tried


def loopback(given: Given) -> list[int]:
    """Ports that answer inside."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


def _tcp(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as way:
        way.settimeout(2)
        way.connect((address, port))


def _udp(address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        way.sendto(b"out", (address, 53))


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(2)
        way.connect(path)


def _family(family: int, kind: int, protocol: int) -> None:
    with socket.socket(family, kind, protocol) as way:
        if family == 40:
            way.settimeout(2)
            way.connect((2, 1024))  # the host


def neighbours(given: Given) -> dict[str, Any]:
    """Ways to the sockets of another run, whose folder on the host is known, and to the run's own folder."""
    tried = {}
    for folder in given["neighbours"]:
        for way in ("{0}", "/proc/1/root{0}", "/proc/self/root{0}", "/run/curation/../..{0}", "/run/curation{0}"):
            for name in ("llm.sock", "submit.sock"):
                path = f"{way.format(folder)}/{name}"
                tried[path] = "too long" if len(path) > 107 else attempt(lambda p=path: _unix(p))
    own = str(SOCKETS / "llm.sock")
    tried |= {
        "remove the socket": attempt(lambda: os.unlink(own)),
        "rename the socket": attempt(lambda: os.rename(own, str(SOCKETS / "old.sock"))),
        "link the socket": attempt(lambda: os.link(own, "/workspace/linked.sock")),
        "close the socket to others": attempt(lambda: os.chmod(own, 0)),
        "a socket beside it": attempt(lambda: socket.socket(socket.AF_UNIX).bind(str(SOCKETS / "mine.sock"))),
        "take the relay's port": attempt(lambda: socket.create_server(("127.0.0.1", 8123), reuse_port=True)),
        "take the relay's port everywhere": attempt(lambda: socket.create_server(("0.0.0.0", 8123))),
    }
    return {"seen": sorted(os.listdir(SOCKETS)), "tried": tried}


# ---------------------------------------------------------------- the file system, other processes, limits


def mounts(given: Given) -> dict[str, str]:
    """Making the pool and what else is read-only writable, and writing there."""
    remount, bind, readwrite = 32, 4096, 0
    pool = b"/pool"
    tried = {
        "remount the pool": attempt(lambda: called(_LIBC.mount(None, pool, None, remount | bind | readwrite, None))),
        "bind over the pool": attempt(lambda: called(_LIBC.mount(b"/workspace", pool, None, bind, None))),
        "unmount the pool": attempt(lambda: called(_LIBC.umount2(pool, 2))),
        "a user namespace": attempt(lambda: called(_LIBC.unshare(0x10000000 | 0x00020000))),
        "change the root": attempt(lambda: os.chroot("/workspace")),
        "remount by command": attempt(lambda: _run("mount", "-o", "remount,rw", "/pool")),
    }
    for path in ("/pool/new", "/etc/new", "/usr/local/bin/new", "/opt/curation/new", "/run/curation/new", "/agent/new", "/new"):
        tried[f"write {path}"] = attempt(lambda p=path: Path(p).write_text("mine"))
    for path in ("/pool/rows.jsonl", "/usr/local/bin/curate", "/opt/curation/start.py", "/agent/cheater.py", "/etc/passwd"):
        tried[f"append to {path}"] = attempt(lambda p=path: _append(p))
        tried[f"open up {path}"] = attempt(lambda p=path: os.chmod(p, 0o777))
    return tried


def _append(path: str) -> None:
    with open(path, "a") as file:
        file.write("mine")


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=10)


def others(given: Given) -> dict[str, str]:
    """Tracing and reading other processes by the kernel's calls for it."""
    tried = {}
    for pid in set(processes()) - {os.getpid()}:
        tried[f"attach to {pid}"] = attempt(lambda p=pid: called(_LIBC.ptrace(16, p, None, None)))
        tried[f"seize {pid}"] = attempt(lambda p=pid: called(_LIBC.ptrace(0x4206, p, None, None)))
        tried[f"read {pid}"] = attempt(lambda p=pid: called(_LIBC.process_vm_readv(p, None, 0, None, 0, 0)))
        tried[f"write {pid}"] = attempt(lambda p=pid: called(_LIBC.process_vm_writev(p, None, 0, None, 0, 0)))
        tried[f"take a file of {pid}"] = attempt(lambda p=pid: _take_file(p))
    return tried


def _take_file(pid: int) -> None:
    handle = os.pidfd_open(pid)
    try:
        called(_LIBC.syscall(438, handle, 3, 0))
    finally:
        os.close(handle)


def limits(given: Given) -> dict[str, str]:
    """Raising its own limits."""
    tried = {}
    for name in ("NOFILE", "FSIZE", "CORE"):
        which = getattr(resource, f"RLIMIT_{name}")
        more = resource.getrlimit(which)[1] + 1
        tried[f"more {name}"] = attempt(lambda w=which, m=more: resource.setrlimit(w, (m, m)))
        for pid in processes():
            tried[f"more {name} for {pid}"] = attempt(lambda w=which, m=more, p=pid: resource.prlimit(p, w, (m, m)))
    for file in ("memory.max", "pids.max", "cpu.max", "cgroup.procs", "memory/memory.limit_in_bytes", "pids/pids.max"):
        tried[f"write {file}"] = attempt(lambda f=file: Path(f"/sys/fs/cgroup/{f}").write_text("max"))
    tried["never killed for memory"] = attempt(lambda: Path("/proc/self/oom_score_adj").write_text("-1000"))
    tried["more urgent"] = attempt(lambda: called(_LIBC.setpriority(0, 0, -20)))
    tried["real time"] = attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
    tried["kernel setting"] = attempt(lambda: Path("/proc/sys/kernel/core_pattern").write_text("|/tmp/x"))
    tried["system request"] = attempt(lambda: Path("/proc/sysrq-trigger").write_text("b"))
    tried["root"] = attempt(lambda: os.setuid(0))
    tried["set the clock"] = attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
    tried["device"] = attempt(lambda: os.mknod("/workspace/dev", 0o60600, os.makedev(7, 0)))
    tried["terminal input"] = attempt(lambda: called(_LIBC.ioctl(0, 0x5412, struct.pack("c", b"x"))))
    return tried
