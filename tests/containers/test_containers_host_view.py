"""What of the host, of its kernel, and of other runs could be seen or used up from inside."""

from __future__ import annotations

import errno
import platform
import subprocess
import uuid
from pathlib import Path

import pytest
from container_box import Box, needs_root

from curation_sandbox.hardening import MASKED

SYSCALLS = "import ctypes, json; c = ctypes.CDLL(None, use_errno=True)\n"


@needs_root
def test_paths_of_other_runs_behind_loop_devices(box: Box) -> None:
    """Each volume is a loop device, and /sys names the file behind it, run folder and all."""
    held = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert held
    found = box.sh("cat /sys/block/*/loop/backing_file /sys/devices/virtual/block/*/loop/backing_file")
    assert all(path not in found.output.decode() for path in held)
    assert b"loop" not in box.sh("ls /sys/fs/ext4 /proc/fs/ext4 /sys/devices/virtual/block").output.replace(
        b"No such file", b""
    )


@pytest.mark.parametrize("path", MASKED)
def test_masked_place(box: Box, path: str) -> None:
    """Empty, or not there, whatever the host has at it."""
    script = f"if [ -d {path} ]; then ls -A {path}; elif [ -e {path} ]; then cat {path}; fi"
    assert box.sh(script).output == b""


def test_host_processes_and_their_environment(box: Box) -> None:
    marker = uuid.uuid4().hex
    with subprocess.Popen(["sleep", "60"], env={"MARKER": marker}) as process:
        try:
            for user in ("1000:1000", "0:0"):
                seen = box.sh("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null", user=user).output
                assert b"sleep" in seen  # its own main process
                assert marker.encode() not in seen
            assert box.sh(f"kill -0 {process.pid}").code != 0
        finally:
            process.kill()


def test_environment_holds_nothing_of_the_host(box: Box) -> None:
    found = box.python("import os, json; print(json.dumps(dict(os.environ)))")
    assert found.pop("CURATION_GIVEN") == "yes"
    leaked = {name for name in found if any(word in name for word in ("KEY", "TOKEN", "SECRET", "PROXY", "DOCKER"))}
    assert leaked == set()


@pytest.mark.parametrize("place", ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run"])
@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
def test_writing_a_kernel_setting(box: Box, place: str, user: str) -> None:
    assert box.sh(f"echo x > {place}", user=user).code != 0


def test_using_up_the_hosts_asynchronous_requests(box: Box) -> None:
    """fs.aio-max-nr is one number for the whole machine; one container could take it all."""
    number = 0 if platform.machine() == "aarch64" else 206
    code = f"""
context = ctypes.c_ulong(0)
print(json.dumps([c.syscall({number}, 1000, ctypes.byref(context)), ctypes.get_errno()]))
"""
    assert box.python(SYSCALLS + code) == [-1, errno.EPERM]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 has two more system call tables")
@pytest.mark.parametrize("way", ["int 0x80", "x32"])
def test_the_other_system_call_tables(box: Box, way: str) -> None:
    """A filter for 64-bit numbers says nothing of the 32-bit and x32 ones: the process must be killed."""
    by_interrupt = (
        "import mmap; m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3'));"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()"
    )
    code = by_interrupt if way == "int 0x80" else f"c.syscall({0x40000000 + 39})"
    result = box.run("python3", "-c", f"{SYSCALLS}{code}; print('survived')")
    assert b"survived" not in result.output
    assert result.code == 128 + 31  # SIGSYS


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [(16, 3, 15), (16, 3, 9), (16, 3, 12), (17, 3, 0), (2, 3, 1), (38, 5, 0), (40, 1, 0)],
    ids=["uevents", "audit", "netfilter", "packet", "raw", "kernel-crypto", "hypervisor"],
)
def test_opening_a_socket_into_the_kernel(box: Box, family: int, kind: int, protocol: int) -> None:
    code = f"""
import json, socket
try:
    socket.socket({family}, {kind}, {protocol})
    print(json.dumps("opened"))
except OSError as error:
    print(json.dumps(error.errno))
"""
    assert box.python(code) in (errno.EPERM, errno.EAFNOSUPPORT)


def test_listing_interfaces_still_works(box: Box) -> None:
    assert box.python("import json, socket; print(json.dumps([n for _, n in socket.if_nameindex()]))") == ["lo"]


def test_a_crash_starts_no_handler_on_the_host(box: Box) -> None:
    """A core limit of 1 stops files and piped handlers; of 0, files only."""
    assert box.python("import json, resource; print(json.dumps(resource.getrlimit(4)))") == [1, 1]
    box.run("python3", "-c", "import os, signal; os.chdir('/workspace'); os.kill(os.getpid(), signal.SIGSEGV)")
    assert b"core" not in box.sh("ls -A /workspace").output


def test_hostname_and_resolvers_are_not_the_hosts(box: Box) -> None:
    assert platform.node().encode() not in box.sh("hostname; cat /etc/hostname /etc/hosts").output.split()
    assert box.sh("grep nameserver /etc/resolv.conf").output.split() in ([b"nameserver", b"127.0.0.1"], [])
