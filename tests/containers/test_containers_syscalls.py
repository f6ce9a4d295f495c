"""System calls that are refused, and programs that must work all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from container_box import Box

import curation_sandbox
from curation_sandbox.incontainer import look_around

SCRIPT = Path(curation_sandbox.__file__).parent / "incontainer" / "look_around.py"


@pytest.fixture(scope="module", params=["1000:1000", "0:0"], ids=["agent", "root"])
def seen(box: Box, request: pytest.FixtureRequest) -> Any:
    """What the script finds inside, as the agent and as root in the container."""
    return box.python(SCRIPT.read_text(), user=request.param)


@pytest.mark.parametrize("call", look_around.CALLS)
def test_a_refused_call(seen: Any, call: str) -> None:
    assert seen["calls"][call] == "EPERM"


@pytest.mark.parametrize("family", look_around.SOCKET_FAMILIES)
def test_a_refused_socket_family(seen: Any, family: str) -> None:
    assert seen["families"][family] == "EPERM"


def test_no_capabilities_even_for_root(seen: Any) -> None:
    assert set(seen["capabilities"].values()) == {0}
    assert seen["no_new_privs"] == 1
    assert seen["seccomp"] == "2"


def test_the_calls_are_known_where_they_are_not_refused() -> None:
    """On the host, the same script reaches the kernel: the answers above come from the filter."""
    outcomes = look_around.calls()
    assert outcomes["ptrace"] == "ESRCH"
    assert outcomes["process_vm_readv"] == "allowed"
    assert outcomes["io_uring_setup"] != "EPERM"


@pytest.mark.parametrize(
    "command",
    [
        "unshare --user true",
        "unshare --mount true",
        "unshare --net true",
        "nsenter --target 1 --mount true",
        "setpriv --bounding-set +sys_admin true",
        "mknod /workspace/device b 7 0",
        "hostname other",
        "dmesg",
    ],
)
def test_a_refused_command(box: Box, command: str) -> None:
    result = box.sh(command, user="0:0")
    assert result.code != 0
    assert b"not found" not in result.output


def test_a_clone_with_namespace_flags(box: Box) -> None:
    code = """
import ctypes, json, os, platform
libc = ctypes.CDLL(None, use_errno=True)
number = 220 if platform.machine() == "aarch64" else 56
found = {}
for name, flag in {"user": 0x10000000, "net": 0x40000000, "pid": 0x20000000, "ns": 0x20000}.items():
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(flag | 17), 0, 0, 0, 0)
    if result == 0:
        os._exit(0)
    found[name] = ctypes.get_errno() if result < 0 else "allowed"
print(json.dumps(found))
"""
    assert set(box.python(code).values()) == {1}


@pytest.mark.parametrize(
    "command",
    [
        "python3 -c 'import numpy as n; a = n.ones((200, 200)); assert (a @ a).sum() == 200 ** 3'",
        "cd /tmp && rm -rf r && git init -q r && cd r && git config user.email a@b && git config user.name a"
        " && echo x > f && git add f && git commit -qm first && git log --oneline | grep first",
        "python3 -c 'import threading as t; x = [t.Thread(target=print) for _ in range(8)];"
        " [i.start() for i in x]; [i.join() for i in x]'",
        "python3 -c 'import multiprocessing as m; print(m.get_context(\"spawn\").Pool(2).map(abs, [-1, 2]))'",
        "python3 -c 'import subprocess as s; print(s.run([\"true\"], check=True))'",
        "python3 -c 'import asyncio as a; a.run(a.sleep(0))'",
        'python3 -c \'import sqlite3 as s; s.connect("/workspace/x.db").execute("create table t (a)")\'',
        "printf '#!/bin/sh\\necho ran' > /tmp/tool && chmod +x /tmp/tool && /tmp/tool",
        "tar cf /tmp/x.tar -C /etc hostname && tar tf /tmp/x.tar && rm /tmp/x.tar",
    ],
)
def test_an_agents_tools_work(box: Box, command: str) -> None:
    result = box.sh(command)
    assert result.code == 0, result.output.decode(errors="replace")
