"""The reaper: what a killed harness left goes, everything else stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_box import MakeSpec, needs_root

from curation_sandbox import mounts, owners, reaper, staging
from curation_sandbox.container import Container
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import ContainerFailed
from curation_sandbox.reaper import Leftover
from curation_sandbox.spec import ContainerSpec, Mount
from curation_sandbox.volumes import CLAIMS, Claim

RUN_AND_HANG = """
import sys, time
from curation_sandbox.container import Container
from curation_sandbox.engine import connect
from curation_sandbox.spec import ContainerSpec
with connect() as engine, Container(engine, ContainerSpec.model_validate_json(sys.argv[1])) as container:
    container.start()
    print(container.id, container.name, flush=True)
    time.sleep(600)
"""
DEAD = {
    f"{LABEL}.{name}": value for name, value in owners.current().model_copy(update={"started": 1}).labels().items()
}
Killed = Callable[[ContainerSpec], tuple[str, str]]


@pytest.fixture
def killed(engine: Engine) -> Iterator[Killed]:
    """Starts a container in a process that is then killed by ``kill -9``; the container's id and name."""
    made: list[str] = []

    def run(spec: ContainerSpec) -> tuple[str, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_AND_HANG, spec.model_dump_json()], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        identity, name = process.stdout.readline().split()
        made.append(identity)
        assert not concerning(engine, identity, name), "its owner lives"
        process.kill()
        process.communicate()
        return identity, name

    yield run
    for identity in made:
        engine.remove(identity)


def concerning(engine: Engine, *names: str) -> list[Leftover]:
    return [one for one in reaper.leftovers(engine) if one.name in names]


def test_after_kill_9_of_the_owner(
    engine: Engine,
    make_spec: MakeSpec,
    tmp_path: Path,
    killed: Killed,
    run_id: str,
    host_mounts: Callable[[], set[Path]],
) -> None:
    spec = make_spec(run_id=run_id, command=("sleep", "600"), mounts=(Mount(source=tmp_path, target="/pool"),))
    identity, name = killed(spec)
    assert bool(host_mounts()) == mounts.can_mount()
    assert engine.inspect(identity)["State"]["Running"]
    found = concerning(engine, identity, name)
    assert [one.kind for one in found] == (["container", "binds"] if mounts.can_mount() else ["container"])
    for one in found:
        reaper.remove(one, engine)
        reaper.remove(one, engine)  # nothing happens
    assert concerning(engine, identity, name) == []
    assert not (staging.STAGES / name).exists()
    assert host_mounts() == set()
    with pytest.raises(ContainerFailed):
        engine.inspect(identity)


def test_a_live_run_is_not_touched(engine: Engine, make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(command=("sleep", "600"), mounts=(Mount(source=tmp_path, target="/pool"),))
    with Container(engine, spec) as container:
        container.start()
        assert concerning(engine, container.id, container.name) == []
        claimed = Leftover("container", container.id, "what somebody claims", owners.current())
        with pytest.raises(ContainerFailed, match=str(os.getpid())):
            reaper.remove(claimed, engine)
        assert engine.inspect(container.id)["State"]["Running"]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {f"{LABEL}.run": "r"},
        {f"{LABEL}.kept": "1", **DEAD},
        {f"{LABEL}.owner-pid": "1"},
        {f"{LABEL}.owner-pid": "abc", f"{LABEL}.owner-started": "1"},
        {"owner-pid": "999999", "owner-started": "1", "boot-id": "x", "pid-namespace": "x"},
    ],
)
def test_somebody_elses_container_is_not_touched(engine: Engine, image: str, labels: dict[str, str]) -> None:
    """Without our whole record of a dead owner, it is not ours to remove."""
    identity = engine.create({"Image": image, "Cmd": ["true"], "Labels": labels}, f"test-stranger-{os.getpid()}")
    try:
        assert concerning(engine, identity) == []
    finally:
        engine.remove(identity)


def test_an_owner_we_cannot_see_is_not_called_dead(engine: Engine, image: str) -> None:
    """Two harnesses in containers of their own, with one engine: each has its own process numbers."""
    other = owners.current().model_copy(update={"pid_namespace": "pid:[1]", "pid": 999_999})
    labels = {f"{LABEL}.{name}": value for name, value in other.labels().items()}
    identity = engine.create({"Image": image, "Cmd": ["true"], "Labels": labels}, f"test-other-{os.getpid()}")
    try:
        assert concerning(engine, identity) == []
    finally:
        engine.remove(identity)


def test_a_process_number_used_again(engine: Engine, image: str) -> None:
    """The number lives, the process is another one: its start differs."""
    identity = engine.create({"Image": image, "Cmd": ["true"], "Labels": DEAD}, f"test-again-{os.getpid()}")
    try:
        (one,) = concerning(engine, identity)
        reaper.remove(one, engine)
        assert concerning(engine, identity) == []
    finally:
        engine.remove(identity)


@needs_root
def test_a_strangers_folder_among_the_binds(engine: Engine) -> None:
    folder = staging.STAGES / f"stranger-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        for content in ("", "{}", "not json"):
            (folder / owners.OWNER_FILE).write_text(content)
            assert concerning(engine, folder.name) == []
    finally:
        (folder / owners.OWNER_FILE).unlink()
        folder.rmdir()


@needs_root
def test_somebody_elses_mount_at_a_dead_run_s_place_stays(tmp_path: Path) -> None:
    if not mounts.can_mount():
        pytest.skip("this root may not mount")
    dead = owners.current().model_copy(update={"started": 1})
    claim = Claim(image=tmp_path / "v.img", mountpoint=tmp_path / "v", owner=dead)
    claim.mountpoint.mkdir()
    CLAIMS.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = CLAIMS / f"test-{os.getpid()}.json"
    place.write_text(claim.model_dump_json())
    mounts.command("mount", "-t", "tmpfs", "none", str(claim.mountpoint))
    try:
        (claim.mountpoint / "note").write_text("somebody's")
        (mine,) = [one for one in reaper.leftovers() if one.name == place.name]
        reaper.remove(mine)
        assert (claim.mountpoint / "note").read_text() == "somebody's"
        assert mounts.at(claim.mountpoint) is not None
    finally:
        mounts.unmount(claim.mountpoint)
        place.unlink(missing_ok=True)


def test_without_an_engine_the_rest_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert all(one.kind != "container" for one in reaper.leftovers())
