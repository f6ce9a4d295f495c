"""What an agent leaves behind in its volumes for the host, or for its own next container, to trip over."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from container_box import LIMITS, Box, MakeSpec, needs_root

from curation_sandbox import mounts
from curation_sandbox.container import Container, ExitStatus
from curation_sandbox.engine import Engine
from curation_sandbox.volumes import Volume

pytestmark = needs_root

RunIn = Callable[[str], "Said"]


class Said(NamedTuple):
    status: ExitStatus
    output: str


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "workspace.img", tmp_path / "workspace", LIMITS.workspace_size)


@pytest.fixture
def run_in(engine: Engine, make_spec: MakeSpec, volume: Volume) -> RunIn:
    """Run a script in a container of its own, with the volume attached for just that time."""

    def run(script: str) -> Said:
        output: list[bytes] = []
        with volume:
            spec = make_spec(command=("sh", "-c", script), workspace=volume.mountpoint)
            with Container(engine, spec) as container:
                container.start(output.append)
                status = container.wait(60)
        assert status is not None
        return Said(status, b"".join(output).decode(errors="replace"))

    return run


def test_links_to_the_hosts_files(run_in: RunIn, volume: Volume, tmp_path: Path) -> None:
    """Attaching, detaching and deleting never follow them."""
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o700)
    (precious / "file").write_text("kept")
    script = (
        f"rmdir lost+found; ln -s {precious} lost+found; ln -s {precious}/file f; ln -s ../../.. up; ln -s / root"
    )
    assert run_in(script).status.code == 0
    said = run_in("ls -A; cat f root/etc/hostname")
    assert "kept" not in said.output
    assert "sandbox" in said.output  # a link is followed inside, and ends inside
    shutil.rmtree(volume.mountpoint)
    assert (precious / "file").read_text() == "kept"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o700
    assert precious.stat().st_uid == os.getuid()


@pytest.mark.parametrize("source", ["/pool/rows.jsonl", "/run/curation/submit.sock", "/etc/passwd"])
def test_a_hard_link_to_something_outside(box: Box, source: str) -> None:
    assert box.sh(f"ln {source} /workspace/linked").code != 0


@pytest.mark.parametrize("user", ["1000:1000", "0:0"])
def test_a_device_file_for_the_host(box: Box, user: str) -> None:
    for kind in ("b 7 0", "c 1 1", "c 10 200"):
        assert box.sh(f"mknod /workspace/device {kind}", user=user).code != 0


def test_a_set_user_id_program_for_a_user_of_the_host(run_in: RunIn, volume: Volume) -> None:
    run_in("cp /bin/sh shell; chmod 6755 shell")
    with volume:
        point = mounts.at(volume.mountpoint)
        assert point is not None
        assert {"nosuid", "nodev"} <= point.options


def test_names_that_are_not_text(run_in: RunIn, volume: Volume) -> None:
    made = run_in(
        r"""python3 -c "
import os
for name in (b'\xff\xfe', b'a\nb', b'-rf', b'...', b'\x1b[2J', b'n' * 255):
    open(name, 'wb').close()
deep = b'd' * 200
for _ in range(60):
    os.mkdir(deep)
    os.chdir(deep)
" """
    )
    assert made.status.code == 0, made.output
    assert run_in("ls -A | wc -l").output.strip() == "8"  # six files, one of them over two lines, and the folder
    assert not volume.attached


def test_pipes_and_sockets_that_never_answer(run_in: RunIn) -> None:
    made = "mkfifo lost+found.fifo p; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\""
    assert run_in(made).status.code == 0
    assert run_in("ls").output.split() == ["lost+found.fifo", "p", "s"]


@pytest.mark.parametrize("mode", ["000", "400", "7777"])
def test_an_agent_that_locks_itself_out(run_in: RunIn, volume: Volume, mode: str) -> None:
    """Its own doing, and yet a run that is resumed must find its workspace usable."""
    assert run_in(f"echo kept > file; chmod {mode} /workspace").status.code == 0
    said = run_in("cat file")
    assert (said.status.code, said.output.strip()) == (0, "kept")
    with volume:
        assert stat.S_IMODE(volume.mountpoint.stat().st_mode) & 0o7022 == 0


def test_a_file_that_is_held_open_while_it_ends(run_in: RunIn) -> None:
    assert run_in('python3 -c \'import time; f = open("held", "w"); time.sleep(600)\' & sleep 0.5').status.code == 0
    assert run_in("ls").output.strip() == "held"


def test_programs_written_to_the_workspace_run_with_no_more_rights(box: Box) -> None:
    script = "cp /bin/cat /workspace/cat && chmod 6755 /workspace/cat && /workspace/cat /proc/self/status"
    status = box.sh(script).output.decode()
    assert "Uid:\t1000\t1000\t1000\t1000" in status
    assert "CapEff:\t0000000000000000" in status
    assert box.sh("/workspace/cat /etc/shadow").code != 0
