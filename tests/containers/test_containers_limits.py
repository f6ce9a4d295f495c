"""Each limit, exceeded from inside."""

from __future__ import annotations

import errno

import pytest
from container_box import LIMITS, MIB, Box, MakeSpec

from curation_sandbox.container import Container
from curation_sandbox.engine import Engine

FILL = """
import json, os
written, failed = 0, None
try:
    for number in range(1000):
        with open({folder!r} + f"/fill-{{number}}", "wb", buffering=0) as file:
            for _ in range(4):
                written += file.write(b"x" * 2**20)
except OSError as error:
    failed = error.errno
print(json.dumps([written, failed]))
"""
MANY = """
import json
made, failed = 0, None
try:
    for made in range(1_000_000):
        open({folder!r} + f"/many-{{made}}", "w").close()
except OSError as error:
    failed = error.errno
print(json.dumps([made, failed]))
"""


@pytest.mark.parametrize(
    ("folder", "size"),
    [
        ("/workspace", LIMITS.workspace_size),
        ("/home/agent", LIMITS.home_size),
        ("/tmp", LIMITS.tmp_size),
        ("/dev/shm", LIMITS.shm_size),
    ],
)
def test_filling_a_folder(box: Box, folder: str, size: int) -> None:
    written, failed = box.python(FILL.format(folder=folder))
    box.sh(f"rm -f {folder}/fill-*")
    assert failed == errno.ENOSPC
    assert 0.6 * size < written <= size
    assert box.sh(f"echo x > {folder}/again && rm {folder}/again").code == 0


@pytest.mark.parametrize(
    ("folder", "most"), [("/workspace", 4096), ("/home/agent", 2048), ("/tmp", LIMITS.tmp_inodes)]
)
def test_exhausting_inodes(box: Box, folder: str, most: int) -> None:
    made, failed = box.python(MANY.format(folder=folder))
    box.sh(f"cd {folder} && find . -name 'many-*' -delete")
    assert failed == errno.ENOSPC
    assert made <= most


def test_one_large_file(box: Box) -> None:
    code = """
import json, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("/workspace/large", "wb", buffering=0) as file:
    try:
        file.seek({size})
        file.write(b"x")
        print(json.dumps(None))
    except OSError as error:
        print(json.dumps(error.errno))
"""
    assert box.python(code.format(size=LIMITS.file_size)) == errno.EFBIG
    assert box.python(code.format(size=LIMITS.file_size - 1)) is None
    box.sh("rm /workspace/large")


def test_raising_a_limit(box: Box) -> None:
    code = """
import json, resource
found = {}
for name in ("RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE"):
    soft, hard = resource.getrlimit(getattr(resource, name))
    try:
        resource.setrlimit(getattr(resource, name), (hard + 1, hard + 1))
        found[name] = "raised"
    except (OSError, ValueError):
        found[name] = hard
print(json.dumps(found))
"""
    wanted = {"RLIMIT_FSIZE": LIMITS.file_size, "RLIMIT_NOFILE": LIMITS.open_files, "RLIMIT_CORE": 1}
    assert box.python(code) == wanted


def test_a_fork_bomb(box: Box) -> None:
    code = """
import json, os, signal
children, failed = [], None
try:
    for _ in range(1000):
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    failed = error.errno
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(json.dumps([len(children), failed]))
"""
    children, failed = box.python(code)
    assert failed == errno.EAGAIN
    assert children < LIMITS.pids


def test_memory_of_one_process(box: Box) -> None:
    """The kernel kills what took it; the container lives, and the host can count the kill."""
    before = box.container.oom_kills()
    result = box.run("python3", "-c", f"x = b'x' * {2 * LIMITS.memory}")
    assert result.code == 137
    assert box.container.oom_kills() == before + 1
    assert box.sh("true").code == 0


def test_memory_through_tmp(box: Box) -> None:
    """What lies in a tmpfs counts, so it cannot be used as memory beyond the limit."""
    assert LIMITS.tmp_size + LIMITS.shm_size < LIMITS.memory
    assert box.python(FILL.format(folder="/tmp"))[0] <= LIMITS.tmp_size
    box.sh("rm -f /tmp/fill-*")


def test_memory_of_the_main_process(engine: Engine, make_spec: MakeSpec) -> None:
    spec = make_spec(command=("python3", "-c", f"x = b'x' * {2 * LIMITS.memory}"))
    with Container(engine, spec) as container:
        container.start()
        status = container.wait(60)
        assert status is not None
        assert status.code == 137
        assert status.oom_killed
        assert container.oom_kills() >= 1


def test_cpu_share(box: Box) -> None:
    """Two busy processes together get half a core, by their own CPU time over wall time."""
    code = """
import json, os, time
start, end = time.monotonic(), time.monotonic() + 2
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        while time.monotonic() < end:
            pass
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
used = os.times()
print(json.dumps((used.children_user + used.children_system) / (time.monotonic() - start)))
"""
    assert box.python(code) < 1.3 * LIMITS.cpus


def test_threads_are_told_the_share(box: Box) -> None:
    assert box.sh("echo $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS").output.split() == [b"1", b"1"]


def test_output_without_end(engine: Engine, make_spec: MakeSpec) -> None:
    """A slow reader slows the writer; nothing piles up at the engine or here."""
    got = 0

    def read(piece: bytes) -> None:
        nonlocal got
        got += len(piece)
        if got > 4 * MIB:
            raise OverflowError("enough")

    with Container(engine, make_spec(command=("sh", "-c", "head -c 50000000 /dev/zero"))) as container:
        container.start(read)
        with pytest.raises(OverflowError, match="enough"):
            container.wait(60)
    assert got < 5 * MIB
