"""Volumes where nothing can be mounted: plain folders, with a stated reason. The loop-mounted ones are tested
in tests/containers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation_sandbox import mounts, owners, reaper, volumes
from curation_sandbox.errors import ContainerFailed
from curation_sandbox.mounts import MountPoint
from curation_sandbox.reaper import Leftover
from curation_sandbox.volumes import Claim, Volume


@pytest.fixture
def not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)


@pytest.mark.usefixtures("not_root")
def test_without_root_it_is_a_folder_and_says_so(tmp_path: Path) -> None:
    with Volume(tmp_path / "v.img", tmp_path / "v", 2**20) as volume:
        assert not volume.bounded
        assert volume.reason is not None
        assert "root" in volume.reason
        assert volume.attached
        (volume.mountpoint / "note").write_text("kept")
        assert volume.mountpoint.stat().st_mode & 0o777 == 0o777, "another uid in the container must write"
    assert not (tmp_path / "v.img").exists()
    assert (volume.mountpoint / "note").read_text() == "kept"


@pytest.mark.usefixtures("not_root")
def test_a_volume_of_roots_is_not_opened_without_root(tmp_path: Path) -> None:
    """An empty folder in its place would look like a lost workspace."""
    (tmp_path / "v.img").write_bytes(b"ext4")
    with pytest.raises(ContainerFailed, match="root"):
        Volume(tmp_path / "v.img", tmp_path / "v", 2**20)


def test_a_folder_that_was_begun_without_a_bound_stays_one(tmp_path: Path) -> None:
    """Mounting over it would hide what the agent wrote."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "note").write_text("kept")
    with Volume(tmp_path / "v.img", tmp_path / "v", 2**20) as volume:
        assert not volume.bounded
        assert (volume.mountpoint / "note").read_text() == "kept"


@pytest.fixture
def without_root() -> Iterator[Path]:
    """The test acts as a user without root, in a folder of that user's: only root may enter pytest's."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory(prefix="without-root-", dir="/tmp") as name:
        os.chown(name, before or 1000, -1)
        os.seteuid(before or 1000)
        try:
            yield Path(name)
        finally:
            os.seteuid(before)


def test_a_folder_that_the_agent_shut_is_open_in_its_next_container(without_root: Path) -> None:
    """Attack: ``chmod 000 /workspace``, where the harness's user has the number of the container's."""
    for _ in range(2):
        with Volume(without_root / "v.img", without_root / "v", 2**20, uid=os.geteuid()) as volume:
            assert not volume.bounded
            assert os.access(volume.mountpoint, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)
            (volume.mountpoint / "note").write_text("kept")
            volume.mountpoint.chmod(0)


@pytest.mark.parametrize("missing", ["mkfs.ext4", "mount"])
def test_the_reason_names_what_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name == missing else f"/sbin/{name}")
    reason = volumes.why_unbounded()
    assert reason is not None
    assert ("e2fsprogs" if missing == "mkfs.ext4" else "may not mount") in reason or not mounts.can_mount()


def test_a_claim_that_is_damaged_is_none(tmp_path: Path) -> None:
    for content in (b"", b"{}", b"\xff\xfe", b"[]"):
        (tmp_path / "claim.json").write_bytes(content)
        assert Claim.read(tmp_path / "claim.json") is None
    assert Claim.read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("source", "detached"), [("/dev/loop1", True), ("/dev/loop2", False), ("/dev/sda1", False), ("tmpfs", False)]
)
def test_the_reaper_unmounts_nothing_but_the_file_that_was_claimed(
    source: str, detached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of a dead process says where its volume was; by now somebody else's may be there."""
    dead = owners.current().model_copy(update={"started": 1})
    claim = Claim(image=tmp_path / "v.img", mountpoint=tmp_path / "v", owner=dead)
    (tmp_path / "claim.json").write_text(claim.model_dump_json())
    behind = {"/dev/loop1": claim.image, "/dev/loop2": tmp_path / "other.img"}
    unmounted: list[Path] = []
    monkeypatch.setattr(reaper, "CLAIMS", tmp_path)
    monkeypatch.setattr(reaper, "backing_file", behind.get)
    monkeypatch.setattr(mounts, "at", lambda target: MountPoint(target, frozenset(), "ext4", source))
    monkeypatch.setattr(mounts, "unmount", unmounted.append)
    reaper.remove(Leftover("volume", "claim.json", "a volume", dead))
    assert unmounted == ([claim.mountpoint] if detached else [])
    assert not (tmp_path / "claim.json").exists(), "it is told once"


def test_this_process_lives() -> None:
    assert not owners.current().dead


def test_owners_told_apart() -> None:
    me = owners.current()
    assert me.model_copy(update={"started": me.started + 1}).dead, "another process of the same number"
    assert me.model_copy(update={"boot_id": "before"}).dead, "the machine was rebooted"
    unseen = me.model_copy(update={"pid_namespace": "pid:[1]", "pid": 2**22 + 1})
    assert not unseen.dead, "not ours to see"


def test_a_zombie_is_dead() -> None:
    """Killed, and its parent has not looked yet."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        assert stat[0] == "Z"
        assert owners.current().model_copy(update={"pid": child, "started": int(stat[19])}).dead
    finally:
        os.waitpid(child, 0)


def test_an_owner_through_labels() -> None:
    me = owners.current()
    assert owners.Owner.of_labels(me.labels()) == me
    for name in me.labels():
        assert owners.Owner.of_labels({key: value for key, value in me.labels().items() if key != name}) is None


def test_mount_points_with_odd_names(monkeypatch: pytest.MonkeyPatch) -> None:
    line = r"36 35 98:0 / /srv/a\040b\134c rw,nosuid shared:1 - ext4 /dev/loop0 rw,errors=continue"
    monkeypatch.setattr(Path, "read_text", lambda _: line)
    (point,) = mounts.mounted()
    assert point == (Path("/srv/a b\\c"), frozenset({"rw", "nosuid"}), "ext4", "/dev/loop0")
