"""A container from creation to removal, and when something goes wrong on the way."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from container_box import MakeSpec, needs_root

from curation_sandbox import container as containers
from curation_sandbox import mounts, staging
from curation_sandbox.container import Container
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import ContainerFailed, ImageMissing, SandboxPropertyMissing
from curation_sandbox.spec import Mount
from curation_sandbox.volumes import Volume

HostMounts = Callable[[], set[Path]]


def left(engine: Engine, run_id: str) -> list[str]:
    stages = [path.name for path in staging.STAGES.glob(f"*{run_id}*")]
    return [entry["Id"] for entry in engine.containers(f"{LABEL}.run={run_id}")] + stages


def test_all_output_arrives_in_order(engine: Engine, make_spec: MakeSpec) -> None:
    output: list[bytes] = []
    with Container(engine, make_spec(command=("sh", "-c", "seq 200000; exit 3"))) as container:
        container.start(output.append)
        status = container.wait(60)
    assert status is not None
    assert (status.code, status.oom_killed) == (3, False)
    assert b"".join(output).split() == [b"%d" % number for number in range(1, 200_001)]


def test_both_streams_arrive(engine: Engine, make_spec: MakeSpec) -> None:
    output: list[bytes] = []
    with Container(engine, make_spec(command=("sh", "-c", "echo one; echo two >&2"))) as container:
        container.start(output.append)
        container.wait(60)
    assert sorted(b"".join(output).split()) == [b"one", b"two"]


def test_first_output_is_not_missed(engine: Engine, make_spec: MakeSpec) -> None:
    """It is attached before it is started."""
    output: list[bytes] = []
    with Container(engine, make_spec(command=("echo", "at once"))) as container:
        container.start(output.append)
        container.wait(30)
    assert b"".join(output) == b"at once\n"


def test_waiting_tells_a_running_container(engine: Engine, make_spec: MakeSpec) -> None:
    with Container(engine, make_spec(command=("sleep", "600"))) as container:
        container.start()
        assert container.wait(0) is None
        assert container.wait(0.1) is None
        container.stop(grace=20)
        status = container.wait(20)
        assert status is not None
        assert status.code == 143
        assert container.wait(0) == status
        container.kill()  # nothing happens


def test_a_main_process_that_ignores_the_request_to_end(engine: Engine, make_spec: MakeSpec) -> None:
    command = ("sh", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done")
    with Container(engine, make_spec(command=command)) as container:
        container.start()
        container.stop(grace=0.5)
        status = container.wait(20)
        assert status is not None
        assert status.code == 137


def test_processes_left_in_the_background_end_with_the_main_one(engine: Engine, make_spec: MakeSpec) -> None:
    command = ("sh", "-c", "setsid sleep 600 & exit 0")
    with Container(engine, make_spec(command=command)) as container:
        container.start()
        status = container.wait(30)
        assert status is not None
        assert status.code == 0


def test_nothing_is_left(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, host_mounts: HostMounts, run_id: str
) -> None:
    spec = make_spec(run_id=run_id, mounts=(Mount(source=tmp_path, target="/pool"),))
    with pytest.raises(ZeroDivisionError), Container(engine, spec) as container:  # noqa: PT012 - the point of it
        container.start()
        assert left(engine, run_id)
        assert bool(host_mounts()) == mounts.can_mount()
        _ = 1 / 0
    assert left(engine, run_id) == []
    assert host_mounts() == set()


def test_an_image_that_is_not_there(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, host_mounts: HostMounts, run_id: str
) -> None:
    spec = make_spec(
        run_id=run_id, image="curation-harness/none:none", mounts=(Mount(source=tmp_path, target="/pool"),)
    )
    with pytest.raises(ImageMissing), Container(engine, spec):
        pass
    assert left(engine, run_id) == []
    assert host_mounts() == set()


def test_a_creation_that_the_engine_refuses(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, host_mounts: HostMounts, run_id: str
) -> None:
    spec = make_spec(run_id=run_id, runtime="no-such-runtime", mounts=(Mount(source=tmp_path, target="/pool"),))
    with pytest.raises(ContainerFailed), Container(engine, spec) as container:
        container.start()
    assert left(engine, run_id) == []
    assert host_mounts() == set()


def test_creating_is_interrupted_after_the_engine_made_it(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    """Ctrl-C between the engine's work and our learning of the id."""
    create = engine.create

    def interrupted(config: dict[str, object], name: str) -> str:
        create(config, name)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "create", interrupted)
    spec = make_spec(run_id=run_id, mounts=(Mount(source=tmp_path, target="/pool"),))
    with pytest.raises(KeyboardInterrupt), Container(engine, spec):
        pass
    assert left(engine, run_id) == []


def test_a_mount_that_is_not_there(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, host_mounts: HostMounts, run_id: str
) -> None:
    shown = (Mount(source=tmp_path, target="/pool"), Mount(source=tmp_path / "no", target="/cards"))
    with pytest.raises(ContainerFailed, match="no"), Container(engine, make_spec(run_id=run_id, mounts=shown)):
        pass
    assert left(engine, run_id) == []
    assert host_mounts() == set()


def test_a_command_that_is_not_there(engine: Engine, make_spec: MakeSpec, run_id: str) -> None:
    spec = make_spec(run_id=run_id, command=("/no/such/program",))
    output: list[bytes] = []
    with Container(engine, spec) as container:
        container.start(output.append)  # the init process is there, and says what is not
        status = container.wait(30)
    assert status is not None
    assert status.code == 127
    assert b"/no/such/program" in b"".join(output)
    assert left(engine, run_id) == []


def test_an_image_that_declares_a_volume(engine: Engine, image: str, make_spec: MakeSpec, run_id: str) -> None:
    """It would be a writable place without a bound."""
    tag = "curation-harness/test-volume:latest"
    dockerfile = f"FROM {image}\nVOLUME /data\n"
    subprocess.run(["docker", "build", "-q", "-t", tag, "-"], input=dockerfile.encode(), check=True)
    try:
        with pytest.raises(ContainerFailed, match="/data"), Container(engine, make_spec(run_id=run_id, image=tag)):
            pass
    finally:
        engine.remove_image(tag)
    assert left(engine, run_id) == []


@needs_root
def test_a_staged_bind_that_is_gone_before_the_start(
    engine: Engine, make_spec: MakeSpec, tmp_path: Path, run_id: str
) -> None:
    """The engine then shows a folder that is not read-only; the container is killed."""
    spec = make_spec(run_id=run_id, command=("sleep", "600"), mounts=(Mount(source=tmp_path, target="/pool"),))
    with Container(engine, spec) as container:
        subprocess.run(["umount", str(staging.STAGES / container.name / "0")], check=True)
        with pytest.raises(SandboxPropertyMissing, match="/pool"):
            container.start()
        assert engine.wait(container.id) == 137


def test_kept_for_a_look_inside(
    engine: Engine, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    monkeypatch.setenv(containers.KEEP_VARIABLE, "1")
    with Container(engine, make_spec(run_id=run_id)) as container:
        container.start()
        container.wait(30)
    assert engine.inspect(container.id)["State"]["ExitCode"] == 0
    assert left(engine, run_id) == [container.id], "the container, and no mounts"
    engine.remove(container.id)


def test_the_workspace_outlives_the_container(engine: Engine, make_spec: MakeSpec, tmp_path: Path) -> None:
    with Volume(tmp_path / "ws.img", tmp_path / "ws", 16 * 2**20) as volume:
        for script in ("test ! -e note && echo kept > note", "grep kept note"):
            spec = make_spec(command=("sh", "-c", script), workspace=volume.mountpoint)
            with Container(engine, spec) as container:
                container.start()
                status = container.wait(30)
                assert status is not None
                assert status.code == 0, script


def test_the_hosts_environment_is_not_told(
    engine: Engine, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATION_API_KEY", "secret-of-the-host")
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret-of-the-host@proxy")
    output: list[bytes] = []
    with Container(engine, make_spec(command=("env",), environment={"GIVEN": "yes"})) as container:
        container.start(output.append)
        container.wait(30)
    said = b"".join(output)
    assert b"secret-of-the-host" not in said
    assert b"GIVEN=yes" in said


def test_a_terminal_for_a_person(engine: Engine, make_spec: MakeSpec) -> None:
    """``interact`` connects this process's terminal: here a pseudo-terminal that types."""
    script = (
        "import sys; from curation_sandbox.engine import connect;"
        " from curation_sandbox.container import Container; from curation_sandbox.spec import ContainerSpec;"
        " spec = ContainerSpec.model_validate_json(sys.argv[1]);"
        " container = Container(connect(), spec).__enter__(); print(container.interact());"
        " container.__exit__(None, None, None)"
    )
    spec = make_spec(command=("sh",), interactive=True)
    written = b""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", script, spec.model_dump_json()])
    os.write(terminal, b"echo sum $((40+2)); exit 5\n")
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        written += piece
    os.waitpid(child, 0)
    os.close(terminal)
    assert b"sum 42" in written
    assert b"code=5" in written
