#!/usr/bin/env python3
"""Runs a policy once more, watches which of its functions are entered, and hands over what it wrote.

    python3 -I trace.py --policy DIR --out FILE --limit SECONDS --most BYTES [--alone] -- ARGUMENT…

``DIR/policy.py`` is run as ``python policy.py ARGUMENT…`` in DIR. When it has ended, or its time is over, every
process it left is ended, and only then FILE is read and the report written to stdout: FILE's bytes, a line of JSON,
and that line's length in bytes as 16 hexadecimal digits. A reader begins at the end: nobody writes after it. Exit
status 0: the report is whole; 70: we failed before the policy began; anything else: the policy ended its watcher.

What is watched is evidence, no proof: a policy that calls a function for nothing has entered it. What it cannot do is
to say so without calling it, by writing into the pipe: each line there begins with a word it was never shown.
"""

# One file, standard library only, Python >= 3.11: it is mounted read-only into containers.

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

FUNCTIONS = 5000
"""Most functions that are reported."""
NAME = 200
"""Longest file or function name, characters."""
LINE = 4096
"""Longest line of the pipe, bytes: a write of no more than that is never mixed with another (pipe(7))."""
SAID = 4000
"""How much of the end of its output is reported, bytes."""
ENDING = 10.0
"""Seconds in which every process that the policy left must be gone."""
NOT_BEGUN = 70
ENTRY = "policy.py"
_DUMPABLE, _SUBREAPER = 4, 36  # prctl(2)
_TOOL = 3  # of the ids of sys.monitoring one that none of Python's own tools takes
_MADE_UP = ("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Runs a policy and watches it.")
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds")
    parser.add_argument("--most", type=int, required=True, help="bytes of the output that are handed over")
    parser.add_argument("--alone", action="store_true", help="every other process here is the policy's")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args(arguments)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        # no other process may look into this one, or take over its output; and every orphan becomes a child of it
        if libc.prctl(_DUMPABLE, 0, 0, 0, 0) or libc.prctl(_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        watched = Watched(given.policy, given.arguments)
    except OSError as error:
        sys.stderr.write(f"trace: the policy cannot be started: {error}\n")
        return NOT_BEGUN
    report = watched.report(given.limit, given.alone)
    if report is None:
        sys.stderr.write("trace: the policy left processes that could not be ended\n")
        return 1
    size, kind = hand_over(given.out, given.most)
    line = json.dumps({**report, "output": kind, "size": size}).encode() + b"\n"
    write_all(1, line + b"%016x" % len(line))
    return 0


class Watched:
    """The policy's process, what it prints and what it enters."""

    def __init__(self, policy: Path, arguments: list[str]) -> None:
        self._root = policy
        self._secret = secrets.token_hex(16).encode()
        self._functions: dict[tuple[str, str], None] = {}
        self._forged = 0
        self._said = b""
        trace_end, writing = os.pipe()
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--watched", str(policy), str(writing), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=policy,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        self._readers = [
            threading.Thread(target=self._read_trace, args=(trace_end,), daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(self._secret + b"\n")

    def report(self, limit: float, alone: bool) -> dict[str, Any] | None:
        """Wait for its end; None: something of it is still there."""
        late = False
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
        seconds = time.monotonic() - self._began
        if not self._end_all(alone):
            return None
        for reader in self._readers:
            reader.join(ENDING)
        return {
            "code": self._process.returncode,
            "late": late,
            "seconds": round(seconds, 3),
            "functions": sorted(self._functions),
            "forged": self._forged,
            "said": self._said.decode("utf-8", "replace"),
        }

    def _end_all(self, alone: bool) -> bool:
        """Kill what is left until this process has no children: orphans become children of it, so that none then has
        a descendant either. In a container of its own all others are killed in one step, which no forking outruns."""
        everybody = -1 if alone and os.getuid() != 0 and os.getppid() == 1 else -self._process.pid
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(everybody, signal.SIGKILL)
            if self._process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.05)
                continue
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.01)
            except ChildProcessError:
                return True
        return False

    def _read_trace(self, descriptor: int) -> None:
        with open(descriptor, "rb") as lines:
            while line := lines.readline(LINE):
                word, _, rest = line.partition(b" ")
                if word != self._secret:
                    self._forged += 1
                elif len(self._functions) < FUNCTIONS:
                    file, qualname = json.loads(rest)
                    self._functions[file, qualname] = None

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        while piece := os.read(self._process.stdout.fileno(), 65536):
            self._said = (self._said + piece)[-SAID:]


def hand_over(path: Path, most: int) -> tuple[int, str]:
    """Write out what the policy wrote: how many bytes, and how that is to be taken. Nothing else runs any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return 0, "missing"
    except OSError:
        return 0, "no-file"
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return 0, "no-file"
        if found.st_size > most:
            return 0, "too-large"
        size = 0
        while piece := os.read(descriptor, min(1 << 20, most - size)):
            write_all(1, piece)
            size += len(piece)
        return size, "whole"
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


# -- inside the policy's process -----------------------------------------------------------------------


def watched(root: str, descriptor: int, arguments: list[str]) -> None:
    """Run ``policy.py`` as the main program, each of its functions reported when it is first entered."""
    secret = sys.stdin.buffer.readline().strip()
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is what counts
        os.dup2(nothing.fileno(), 0)
    os.set_inheritable(descriptor, False)
    path = Path(root) / ENTRY
    module = ModuleType("__main__")
    module.__file__ = str(path)
    sys.modules["__main__"] = module
    sys.argv = [ENTRY, *arguments]
    sys.path[0] = root
    try:
        program = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        watch(root + "/", descriptor, secret)
        exec(program, module.__dict__)
    except Exception as error:  # printed as Python would, without the frame of this file
        trace = error.__traceback__
        traceback.print_exception(type(error), error, trace.tb_next if trace else None)
        sys.exit(1)


def watch(root: str, descriptor: int, secret: bytes) -> None:
    """Report code below ``root`` when it is first entered, in every thread and every forked process."""
    seen: set[CodeType] = set()

    def enter(code: CodeType) -> None:
        if code in seen or not code.co_filename.startswith(root) or code.co_name in _MADE_UP:
            return
        seen.add(code)
        names = (code.co_filename[len(root) :][:NAME], code.co_qualname[:NAME])
        # a pipe that nobody reads any more is no reason to fail
        with contextlib.suppress(OSError):
            os.write(descriptor, secret + b" " + json.dumps(names).encode() + b"\n")

    if sys.version_info >= (3, 12):
        monitoring = sys.monitoring

        def started(code: CodeType, offset: int) -> object:
            enter(code)
            return monitoring.DISABLE  # once is enough, and then it costs nothing

        monitoring.use_tool_id(_TOOL, "curation")
        monitoring.register_callback(_TOOL, monitoring.events.PY_START, started)
        monitoring.set_events(_TOOL, monitoring.events.PY_START)
    else:

        def called(frame: FrameType, event: str, argument: object) -> None:
            if event == "call":
                enter(frame.f_code)

        threading.setprofile(called)
        sys.setprofile(called)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        watched(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(main(sys.argv[1:]))
