"""An answer about the sandbox is kept for what it was given on, and for nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from curation_harness.planning import sandbox_check
from curation_harness.record.models import ImageUsed
from curation_harness.watcher import Watcher
from curation_sandbox import conformance
from curation_sandbox import engine as engines
from curation_sandbox.engine import EngineInfo

INFO = EngineInfo(
    version="24.0.7",
    api_version="1.43",
    cgroup_version="2",
    cgroup_driver="systemd",
    storage_driver="overlay2",
    root_dir="/var/lib/docker",
    cpus=2,
    memory=2**34,
    security=("name=seccomp,profile=builtin",),
    runtimes=("runc", "runsc"),
    unenforced=(),
)
BASE = ImageUsed(name="base", digest="sha256:" + "a" * 64, labels={})
OTHER = BASE.model_copy(update={"digest": "sha256:" + "b" * 64})
"""Of the same name, built anew."""


@dataclass
class Looked:
    """An engine in whose containers everything holds, and what was looked at."""

    cache: Path
    host: str = "unix:///run/docker.sock"
    told: EngineInfo = INFO
    containers: list[tuple[str, str | None]] = field(default_factory=list)
    """Image id and runtime of each."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def info(self) -> EngineInfo:
        return self.told

    def properties(self, engine: object, image: str, runtime: str | None) -> list[object]:
        self.containers.append((image, runtime))
        return []

    def require(self, image: ImageUsed = BASE, runtime: str | None = None) -> list[tuple[str, str | None]]:
        """What was looked at anew for it."""
        before = len(self.containers)
        sandbox_check.require(image, runtime, self.cache, Watcher())
        return self.containers[before:]


@pytest.fixture
def looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looked:
    engine = Looked(tmp_path)
    monkeypatch.setattr(engines, "connect", lambda: engine)
    monkeypatch.setattr(conformance, "sandbox_properties", engine.properties)
    return engine


def test_an_answer_is_kept(looked: Looked) -> None:
    assert looked.require() == [(BASE.digest, None)]
    assert looked.require() == []


def test_one_good_answer_lets_no_other_image_start(looked: Looked) -> None:
    looked.require(BASE)
    assert looked.require(OTHER) == [(OTHER.digest, None)]
    assert looked.require(BASE) == looked.require(OTHER) == []


def test_one_good_answer_lets_no_other_runtime_start(looked: Looked) -> None:
    looked.require()
    assert looked.require(runtime="runsc") == [(BASE.digest, "runsc")]
    assert looked.require(runtime="runc") == [(BASE.digest, "runc")]
    assert looked.require() == looked.require(runtime="runsc") == []


def test_another_engine_or_one_that_was_set_up_anew_is_looked_at(looked: Looked) -> None:
    looked.require()
    looked.told = replace(INFO, security=())
    assert looked.require() == [(BASE.digest, None)]
    looked.host = "tcp://127.0.0.1:2375"
    assert looked.require() == [(BASE.digest, None)]
