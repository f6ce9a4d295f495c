"""Attacks on what is shown read-only, from inside: as the agent, and as root in the container."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from container_box import Box, MakeSpec, needs_root

from curation_sandbox import mounts
from curation_sandbox.container import Container
from curation_sandbox.engine import Engine
from curation_sandbox.spec import Mount


@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
@pytest.mark.parametrize(
    "script",
    [
        "echo x >> /pool/rows.jsonl",
        "echo x > /pool/new",
        "rm -f /pool/rows.jsonl",
        "mv /pool/rows.jsonl /pool/other",
        "chmod 000 /pool/rows.jsonl",
        "ln -s /etc/passwd /pool/link",
        "truncate -s 0 /pool/rows.jsonl",
    ],
)
def test_writing_to_the_pool(box: Box, script: str, user: str) -> None:
    result = box.sh(script, user=user)
    assert result.code != 0
    assert b"Read-only file system" in result.output
    assert (box.folder / "pool" / "rows.jsonl").read_text() == '{"id": "a"}\n'
    assert [path.name for path in (box.folder / "pool").iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
@pytest.mark.parametrize(
    "command",
    [
        "mount -o remount,rw /pool",
        "mount -o remount,bind,rw /pool",
        "mount --bind /workspace /pool",
        "mount -t tmpfs none /pool",
        "umount /pool",
        "umount -l /pool",
    ],
)
def test_remounting_the_pool(box: Box, command: str, user: str) -> None:
    assert box.sh(command, user=user).code != 0
    assert box.sh("echo x > /pool/new", user=user).code != 0


@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
def test_replacing_a_socket(box: Box, user: str) -> None:
    for script in ("rm -f /run/curation/submit.sock", "touch /run/curation/mine.sock"):
        assert b"Read-only file system" in box.sh(script, user=user).output
    connect = "import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/curation/submit.sock'); print(1)"
    assert box.python(connect) == 1


def test_writing_anywhere_else(box: Box) -> None:
    """Only the workspace, home, /tmp, /dev/shm and the private message queues can be written."""
    found = box.python(
        """
import json, os
found = []
for folder, names, _ in os.walk("/"):
    if folder.startswith(("/proc/", "/sys/")):
        names.clear()
        continue
    try:
        open(folder + "/.probe", "w").close()
        os.unlink(folder + "/.probe")
        found.append(folder)
        names.clear()
    except OSError:
        pass
print(json.dumps(found))
"""
    )
    assert set(found) == {"/workspace", "/home/agent", "/tmp", "/dev/shm", "/dev/mqueue"}


@needs_root
def test_a_mount_of_the_hosts_below_the_pool_is_not_shown(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """It would be writable, even under a read-only bind."""
    below = tmp_path / "pool" / "below"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        (below / "secret").write_text("x")
        below.chmod(0o777)
        output: list[bytes] = []
        spec = make_spec(
            command=("sh", "-c", "ls /pool/below; touch /pool/below/x"),
            mounts=(Mount(source=tmp_path / "pool", target="/pool"),),
        )
        with Container(engine, spec) as container:
            container.start(output.append)
            status = container.wait(30)
    finally:
        subprocess.run(["umount", str(below)], check=True)
    assert status is not None
    assert status.code != 0
    assert b"secret" not in b"".join(output)
    assert b"Read-only file system" in b"".join(output)


@needs_root
def test_set_user_id_programs_and_device_files_in_the_pool(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for name, uid in (("id-as-root", 0), ("id-as-other", 4242)):
        shutil.copy("/usr/bin/id", pool / name)
        os.chown(pool / name, uid, uid)
        (pool / name).chmod(0o6755)
    os.mknod(pool / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (pool / "zero").chmod(0o666)
    output: list[bytes] = []
    script = "exec 2>&1; /pool/id-as-other -u; /pool/id-as-root -u; head -c1 /pool/zero"
    spec = make_spec(command=("sh", "-c", script), mounts=(Mount(source=pool, target="/pool"),))
    with Container(engine, spec) as container:
        container.start(output.append)
        container.wait(30)
    said = b"".join(output).decode()
    assert said.split()[:2] == ["1000", "1000"], said
    assert "Permission denied" in said


def test_a_link_to_the_hosts_secrets_as_a_mount(engine: Engine, make_spec: MakeSpec, tmp_path: Path) -> None:
    """The spec checks the name; what it leads to is checked again before it is shown."""
    (tmp_path / "pool").symlink_to("/etc")
    spec = make_spec(mounts=(Mount(source=tmp_path / "pool", target="/pool"),))
    with pytest.raises(Exception, match="/etc"), Container(engine, spec):
        pass


def test_without_root_on_the_host_the_engines_read_only_bind_remains(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "can_mount", lambda: False)
    output: list[bytes] = []
    tmp_path.chmod(0o777)
    spec = make_spec(command=("touch", "/pool/new"), mounts=(Mount(source=tmp_path, target="/pool"),))
    with Container(engine, spec) as container:
        container.start(output.append)
        container.wait(30)
    assert b"Read-only file system" in b"".join(output)
