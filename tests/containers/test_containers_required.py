"""A run starts only where the sandbox holds: real containers with one property taken away, and other runtimes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from container_box import LIMITS, MakeSpec
from harness_command import Harness, launch_options

from curation_harness.planning import sandbox_check
from curation_harness.record.models import ImageUsed
from curation_harness.watcher import Watcher
from curation_sandbox import conformance, container
from curation_sandbox.container import Container
from curation_sandbox.engine import Engine
from curation_sandbox.errors import SandboxPropertyMissing

SAME_RUNTIME = "io.containerd.runc.v2"
"""Another name under which Docker knows its own runtime."""


def weaken(config: dict[str, Any], **host: object) -> dict[str, Any]:
    return {**config, "HostConfig": {**config["HostConfig"], **host}}


def connected_to_a_bridge(config: dict[str, Any]) -> dict[str, Any]:
    return {**weaken(config, NetworkMode="bridge"), "NetworkDisabled": False}


def with_capabilities(config: dict[str, Any]) -> dict[str, Any]:
    return weaken(config, CapDrop=[], CapAdd=["NET_RAW"])


def without_a_filter(config: dict[str, Any]) -> dict[str, Any]:
    return weaken(config, SecurityOpt=["no-new-privileges", "seccomp=unconfined"])


def with_new_privileges(config: dict[str, Any]) -> dict[str, Any]:
    options = [one for one in config["HostConfig"]["SecurityOpt"] if one != "no-new-privileges"]
    return weaken(config, SecurityOpt=options)


def without_limits(config: dict[str, Any]) -> dict[str, Any]:
    return weaken(config, Memory=0, MemorySwap=0, PidsLimit=0, NanoCpus=0, Ulimits=[])


def as_another_user(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "User": "1234:1234"}


@pytest.fixture
def weakened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], None]:
    """Every container that is created from now on lacks something."""
    hardened = container.engine_json

    def apply(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        monkeypatch.setattr(container, "engine_json", lambda *given: change(hardened(*given)))

    return apply


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (connected_to_a_bridge, {"loopback only", "no route out"}),
        (with_capabilities, {"no capabilities"}),
        (without_a_filter, {"system call filter", "system calls refused", "socket families refused"}),
        (with_new_privileges, {"no new privileges"}),
        (without_limits, {"memory limit", "pids limit", "limits of a process"}),
        (as_another_user, {"not root"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_real_container_without_it_does_not_pass(engine, image, weakened, change, missing) -> None:
    weakened(change)
    found = {one.name for one in conformance.sandbox_properties(engine, image) if one.required and not one.holds}
    assert missing <= found


class Told(Watcher):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def looked(image: str, cache: Path, runtime: str | None = None) -> bool:
    """Whether a container was started to look."""
    told = Told()
    sandbox_check.require(ImageUsed(name="base", digest=image, labels={}), runtime, cache, told)
    return any(step.startswith("checking the sandbox") for step in told.steps)


def test_what_holds_is_looked_at_once_a_day(engine, image, tmp_path) -> None:
    assert looked(image, tmp_path)
    assert not looked(image, tmp_path)
    (kept,) = (tmp_path / sandbox_check.FOLDER).iterdir()
    os.utime(kept, (kept.stat().st_mtime - sandbox_check.LASTS - 1,) * 2)
    assert looked(image, tmp_path)


def test_what_does_not_hold_is_told_and_looked_at_again(engine, image, tmp_path, weakened) -> None:
    weakened(without_a_filter)
    for _ in range(2):
        with pytest.raises(SandboxPropertyMissing, match="system calls refused") as refused:
            looked(image, tmp_path)
        assert "doctor --sandbox --image base" in (refused.value.hint or "")
    assert not (tmp_path / sandbox_check.FOLDER).exists()


def test_a_run_does_not_start_where_a_property_is_missing(engine, tmp_path, cache) -> None:
    harness = Harness(tmp_path, tmp_path / "cache")
    program = (
        "from curation_sandbox import hardening;"
        'hardening.seccomp_profile = lambda: \'{"defaultAction": "SCMP_ACT_ALLOW"}\';'
        "from curation_harness.cli import main; main()"
    )
    command = [sys.executable, "-c", program, *launch_options("--agent", "nop")]
    done = subprocess.run(command, env=harness.environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == SandboxPropertyMissing.exit_code, done.stdout + done.stderr
    assert "the run was not started: system calls refused (allowed: " in done.stderr
    assert not (harness.runs / "r").exists()


def test_a_launch_names_a_runtime_that_the_engine_does_not_have(engine, tmp_path, cache) -> None:
    harness = Harness(tmp_path, cache)
    done = harness.run(*launch_options("--agent", "nop", "--runtime", "kata"))
    assert done.returncode == SandboxPropertyMissing.exit_code, done.stdout + done.stderr
    assert "has no runtime 'kata'" in done.stderr
    assert not (harness.runs / "r").exists()


def runtime(engine: Engine, name: str) -> str:
    if name not in engine.info().runtimes:
        pytest.skip(f"this engine has no runtime {name}")
    return name


@pytest.mark.parametrize("name", [SAME_RUNTIME, "runsc"])
def test_the_same_set_holds_under_another_runtime(engine: Engine, image: str, name: str) -> None:
    found = conformance.sandbox_properties(engine, image, runtime(engine, name))
    assert [one for one in found if one.required and not one.holds] == []


def test_a_container_runs_under_the_runtime_that_is_named(engine: Engine, make_spec: MakeSpec) -> None:
    spec = make_spec(limits=LIMITS, runtime=runtime(engine, SAME_RUNTIME))
    with Container(engine, spec) as made:
        made.start()
        assert engine.inspect(made.id)["HostConfig"]["Runtime"] == SAME_RUNTIME
        status = made.wait(60)
        assert status is not None
        assert status.code == 0


def test_a_run_keeps_the_runtime_it_was_launched_with(engine: Engine, tmp_path: Path, cache: Path) -> None:
    harness = Harness(tmp_path, cache)
    harness.environment["CURATION_RUNTIME"] = runtime(engine, SAME_RUNTIME)
    assert harness.run(*launch_options("--agent", "nop")).returncode == 0
    assert harness.record().spec.runtime == SAME_RUNTIME
    replayed = Harness(tmp_path, cache).run("rerun", "r", "--replay")
    assert replayed.returncode == 0, replayed.stderr
