"""The agent's container is described in one place: what a dry run tells is what a run asks the engine for."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.agent_container import Places, container_spec, exposure
from curation_plugins.api import AgentLaunch
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import ContainerSpec, Limits, Mount


def places(folder: Path) -> Places:
    names = ("pool", "sockets", "files", "workspace", "home")
    return Places(**{name: folder / "run" / name for name in names})


def spec(folder: Path, launch: AgentLaunch, *, gateway: bool = False) -> ContainerSpec:
    return container_spec("r", "base", launch, Limits(), places(folder), gateway=gateway, runtime=None)


def test_a_plain_program_sees_the_pool_and_curate_only(tmp_path: Path) -> None:
    found = spec(tmp_path, AgentLaunch(command=("true",)))
    assert [mount.target for mount in found.mounts] == ["/pool", "/usr/local/bin/curate"]
    assert found.command == ("true",)


def test_a_model_or_files_bring_the_starter(tmp_path: Path) -> None:
    files = AgentLaunch(command=("true",), files={"conf/a.json": "{}"})
    assert [mount.target for mount in spec(tmp_path, files).mounts][2:] == [
        "/opt/curation/start.py",
        "/opt/curation/files",
    ]
    relayed = spec(tmp_path, AgentLaunch(command=("true",)), gateway=True)
    assert [mount.target for mount in relayed.mounts][2:] == ["/opt/curation/start.py"]
    assert relayed.command[-4:] == ("--relay", "8123", "--", "true")


def test_exposure_tells_every_place_and_variable(tmp_path: Path) -> None:
    mounted = AgentLaunch(
        command=("true",),
        environment={"MINE": "1"},
        mounts=(Mount(source=tmp_path / "agent", target="/agent"),),
    )
    told = exposure(spec(tmp_path, mounted))
    by_target = {mount["Target"]: mount["ReadOnly"] for mount in told["HostConfig"]["Mounts"]}
    assert {at for at, read_only in by_target.items() if not read_only} == {"/workspace", "/home/agent"}
    assert {"/pool", "/agent", "/run/curation", "/usr/local/bin/curate"} < by_target.keys()
    assert told["HostConfig"]["NetworkMode"] == "none"
    assert told["HostConfig"]["SecurityOpt"] == ["no-new-privileges", "seccomp"]
    assert "MINE=1" in told["Env"]


def test_a_mount_over_the_runs_folders_is_refused_by_name(tmp_path: Path) -> None:
    over = AgentLaunch(command=("true",), mounts=(Mount(source=tmp_path / "run", target="/agent"),))
    with pytest.raises(ConfigInvalid, match="overlap on the host"):
        spec(tmp_path, over)
