"""The same locks give the same layers: each image built once more, from nothing, beside the one that is there."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_shell import in_image

from curation_sandbox import engine as engines
from curation_sandbox import image_builder, image_files, images
from curation_sandbox.engine import Engine
from curation_sandbox.image_files import BASE

pytestmark = [pytest.mark.containers, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with engines.connect() as connected:
        yield connected


@pytest.fixture
def aside(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A repository name to build under, so that the images others use keep their tags; emptied in the end."""
    repository = f"curation-test-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(image_files, "REPOSITORY", repository)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield repository
    for name in image_files.names():
        engine.remove_image(f"{repository}/{name}:latest")


def layers(engine: Engine, tag: str) -> list[str]:
    found: list[str] = engine.inspect_image(tag)["RootFS"]["Layers"]
    return found


@pytest.mark.parametrize("name", [name for name in image_files.names() if name != BASE])
def test_agents_image_built_again_has_the_same_layers(name: str, engine: Engine, aside: str) -> None:
    ours = f"curation-harness/{name}:latest"
    # On the same base: what is on top of it is npm's and pip's alone.
    subprocess.run(
        [image_builder.client(), "tag", f"curation-harness/{BASE}:latest", f"{aside}/{BASE}:latest"], check=True
    )
    (again,) = images.build([name], lambda line: None, force=True)
    assert again.tag == f"{aside}/{name}:latest"
    assert layers(engine, again.tag) == layers(engine, ours)
