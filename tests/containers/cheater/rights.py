"""Attacks on the file system, on other processes and on the container's limits."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

from view import attempt, processes

Given = dict[str, Any]
_LIBC = ctypes.CDLL(None, use_errno=True)


def called(code: int) -> None:
    """Raises what a call of the C library failed with."""
    if code < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


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
    for path in (
        "/pool/new",
        "/etc/new",
        "/usr/local/bin/new",
        "/opt/curation/new",
        "/run/curation/new",
        "/agent/new",
        "/new",
    ):
        tried[f"write in {path}"] = attempt(lambda p=path: Path(p, "new").write_text("mine"))
    for path in (
        "/pool/rows.jsonl",
        "/usr/local/bin/curate",
        "/opt/curation/start.py",
        "/agent/cheater.py",
        "/etc/passwd",
    ):
        tried[f"append to {path}"] = attempt(lambda p=path: _append(p))
        tried[f"open up {path}"] = attempt(lambda p=path: Path(p).chmod(0o777))
    return tried


def _append(path: str) -> None:
    with Path(path).open("a") as file:
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
    for file in (
        "memory.max",
        "pids.max",
        "cpu.max",
        "cgroup.procs",
        "memory/memory.limit_in_bytes",
        "pids/pids.max",
    ):
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
