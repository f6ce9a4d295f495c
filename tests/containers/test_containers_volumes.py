"""Volumes on real loop devices: their bound, and what survives what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from container_box import MIB, needs_root

from curation_sandbox import mounts, reaper
from curation_sandbox.errors import ContainerFailed, DiskFull
from curation_sandbox.volumes import CLAIMS, Claim, Volume, backing_file

pytestmark = needs_root

ATTACH_AND_HANG = """
import sys, time
from pathlib import Path
from curation_sandbox.volumes import Volume
volume = Volume(Path(sys.argv[1]), Path(sys.argv[2]), 8 * 2**20)
volume.create()
volume.attach()
(volume.mountpoint / "note").write_text("from the dead")
print("attached", flush=True)
time.sleep(600)
"""


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "v.img", tmp_path / "v", 8 * MIB)


def holder(volume: Volume) -> subprocess.Popen[str]:
    """Another process that has the volume attached."""
    arguments = [sys.executable, "-c", ATTACH_AND_HANG, str(volume.image), str(volume.mountpoint)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "attached\n"
    return process


def test_attached_it_is_bounded_and_the_agents(volume: Volume) -> None:
    with volume:
        assert volume.bounded
        assert volume.reason is None
        assert volume.attached
        found = mounts.at(volume.mountpoint)
        assert found is not None
        assert {"nosuid", "nodev", "rw"} <= found.options
        assert volume.mountpoint.stat().st_uid == 1000
        assert list(volume.mountpoint.iterdir()) == []
        space = os.statvfs(volume.mountpoint)
        assert 0.8 * 8 * MIB < space.f_blocks * space.f_frsize <= 8 * MIB
    assert not volume.attached
    assert mounts.at(volume.mountpoint) is None


def test_the_file_is_sparse(volume: Volume) -> None:
    volume.create()
    assert volume.image.stat().st_size == 8 * MIB
    assert volume.image.stat().st_blocks * 512 < MIB


def test_what_was_written_is_there_again(volume: Volume) -> None:
    with volume:
        (volume.mountpoint / "note").write_text("kept")
    assert not (volume.mountpoint / "note").exists()
    with volume:
        assert (volume.mountpoint / "note").read_text() == "kept"


def test_every_step_may_be_repeated(volume: Volume) -> None:
    volume.detach()
    for _ in range(2):
        volume.create()
    for _ in range(2):
        volume.attach()
    assert sum(point.target == volume.mountpoint for point in mounts.mounted()) == 1
    for _ in range(2):
        volume.detach()
    assert mounts.at(volume.mountpoint) is None


def test_detaching_while_a_process_is_in_it(volume: Volume) -> None:
    with volume:
        sleeper = subprocess.Popen(["sleep", "600"], cwd=volume.mountpoint)
    try:
        assert mounts.at(volume.mountpoint) is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_one_process_at_a_time(volume: Volume) -> None:
    process = holder(volume)
    try:
        with pytest.raises(ContainerFailed, match=str(process.pid)):
            volume.attach()
        assert mounts.at(volume.mountpoint) is not None
    finally:
        process.kill()
        process.communicate()
        volume.attach()
        volume.detach()


def test_taking_over_after_kill_9(volume: Volume) -> None:
    process = holder(volume)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert mounts.at(volume.mountpoint) is not None
    with volume:
        assert (volume.mountpoint / "note").read_text() == "from the dead"
        claim = Claim.read(next(path for path in CLAIMS.iterdir() if str(volume.image) in path.read_text()))
        assert claim is not None
        assert claim.owner.pid == os.getpid()
    assert mounts.at(volume.mountpoint) is None


def test_the_reaper_detaches_it_after_kill_9(volume: Volume) -> None:
    process = holder(volume)
    assert not [one for one in reaper.leftovers() if str(volume.image) in one.what]
    process.kill()
    process.communicate()
    (mine,) = [one for one in reaper.leftovers() if str(volume.image) in one.what]
    reaper.remove(mine)
    reaper.remove(mine)
    assert mounts.at(volume.mountpoint) is None
    with volume:
        assert (volume.mountpoint / "note").read_text() == "from the dead"


def test_the_reaper_leaves_what_a_live_run_took_over(volume: Volume) -> None:
    process = holder(volume)
    process.kill()
    process.communicate()
    (stale,) = [one for one in reaper.leftovers() if str(volume.image) in one.what]
    with volume:
        reaper.remove(stale)
        assert volume.attached


def test_something_else_is_mounted_there(volume: Volume) -> None:
    volume.create()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(volume.mountpoint)], check=True)
    try:
        with pytest.raises(ContainerFailed, match="not ours"):
            volume.attach()
        volume.detach()
        assert mounts.at(volume.mountpoint) is not None
    finally:
        subprocess.run(["umount", str(volume.mountpoint)], check=True)


def test_lost_and_found_replaced_by_a_link(volume: Volume, tmp_path: Path) -> None:
    """Attaching tidies that folder away; it must not follow."""
    target = tmp_path / "of-the-host"
    target.mkdir()
    with volume:
        (volume.mountpoint / "lost+found").symlink_to(target)
    with volume:
        assert volume.attached
    assert target.is_dir()


def test_a_machine_that_crashed_with_it_mounted(volume: Volume, tmp_path: Path) -> None:
    """There is no journal: a copy of the file taken while it is mounted is attached all the same."""
    crashed = Volume(tmp_path / "crashed.img", tmp_path / "crashed", 8 * MIB)
    with volume:
        for number in range(50):
            (volume.mountpoint / f"file-{number}").write_bytes(b"x" * 10_000)
        os.sync()
        for number in range(25):
            (volume.mountpoint / f"file-{number}").unlink()
        subprocess.run(["cp", "--sparse=always", str(volume.image), str(crashed.image)], check=True)
    crashed = Volume(crashed.image, crashed.mountpoint, crashed.size)
    crashed.mountpoint.mkdir()
    with crashed:
        assert (crashed.mountpoint / "file-49").read_bytes() == b"x" * 10_000


def test_more_than_the_disk_has(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "v.img", tmp_path / "v", 2**60)
    with pytest.raises(DiskFull):
        volume.create()
    assert not volume.image.exists()


def test_a_half_made_file_is_never_taken_for_a_volume(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: str) -> str:
        raise ContainerFailed("no")

    monkeypatch.setattr(mounts, "command", refuse)
    with pytest.raises(ContainerFailed):
        volume.create()
    assert not volume.image.exists()
    assert [path.name for path in volume.image.parent.iterdir()] == ["v"]


def test_the_backing_file_of_a_mount(volume: Volume) -> None:
    with volume:
        point = mounts.at(volume.mountpoint)
        assert point is not None
        assert backing_file(point.source) == volume.image
    assert backing_file("/dev/no-such-loop") is None
