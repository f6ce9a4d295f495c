"""Fixtures for tests against a real Docker engine.

Most tests look out of one long-lived container (``box``), by further programs run in it; those that end or break a
container start their own (``make_spec``). Skipped, all of them, only where no engine answers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from container_box import LIMITS, Box, MakeSpec

from curation_sandbox import images, mounts
from curation_sandbox.container import Container
from curation_sandbox.engine import Engine, connect
from curation_sandbox.errors import EngineUnavailable
from curation_sandbox.spec import ContainerSpec, Mount
from curation_sandbox.volumes import Volume


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    try:
        connected = connect()
    except EngineUnavailable as error:
        pytest.skip(f"no Docker engine: {error.message}")
    with connected:
        yield connected


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """Id of the base image."""
    return images.resolve(engine, "base").digest


def lay_out(folder: Path) -> None:
    """A run's folder, with what a hostile or careless host could have in a pool."""
    for name in ("pool", "sockets"):
        (folder / name).mkdir()
    (folder / "pool" / "rows.jsonl").write_text('{"id": "a"}\n')
    (folder / "pool" / "rows.jsonl").chmod(0o666)
    (folder / "pool").chmod(0o777)
    (folder / "sealed").mkdir()
    (folder / "sealed" / "answers.json").write_text("{}")


@pytest.fixture(scope="session")
def box(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    lay_out(folder)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / "sockets" / "submit.sock"))
        (folder / "sockets" / "submit.sock").chmod(0o666)
        listener.listen()
        for name, size in (("workspace", LIMITS.workspace_size), ("home", LIMITS.home_size)):
            stack.enter_context(Volume(folder / f"{name}.img", folder / name, size))
        spec = ContainerSpec(
            run_id="test-box",
            image=image,
            command=("sleep", "infinity"),
            environment={"CURATION_GIVEN": "yes"},
            limits=LIMITS,
            mounts=(Mount(source=folder / "pool", target="/pool"),),
            sockets=folder / "sockets",
            workspace=folder / "workspace",
            home=folder / "home",
        )
        container = stack.enter_context(Container(engine, spec))
        container.start()
        yield Box(container, folder)


@pytest.fixture
def make_spec(image: str) -> MakeSpec:
    """A spec with small limits; keyword arguments replace its fields."""

    def make(**fields: Any) -> ContainerSpec:
        return ContainerSpec(**{"run_id": "test", "image": image, "command": ("true",), "limits": LIMITS, **fields})

    return make


@pytest.fixture
def run_id() -> str:
    """Of this process only: other runs on the machine come and go."""
    return f"test-{os.getpid()}"


@pytest.fixture
def host_mounts(run_id: str) -> Callable[[], set[Path]]:
    """The places on the host where something is mounted for containers of ``run_id``, now."""
    return lambda: {point.target for point in mounts.mounted() if run_id in str(point.target)}
