"""The same locks give the same layers: each image built once more, from nothing, beside the one that is there."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from image_shell import in_image

from curation_sandbox import bootstrap, image_builder, image_files, images
from curation_sandbox.build_log import BuildLog
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.image_files import BASE

OURS: Final = image_files.REPOSITORY


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


def tag(repository: str, name: str) -> str:
    return f"{repository}/{name}:latest"


@pytest.mark.parametrize("name", [name for name in image_files.names() if name != BASE])
def test_agents_image_built_again_has_the_same_layers(name: str, engine: Engine, aside: str) -> None:
    # On the same base: what is on top of it is npm's and pip's alone.
    subprocess.run([image_builder.client(), "tag", tag(OURS, BASE), tag(aside, BASE)], check=True)
    (again,) = images.build([name], lambda line: None, force=True)
    assert again.tag == tag(aside, name)
    assert layers(engine, again.tag) == layers(engine, tag(OURS, name))


def test_base_built_again_from_the_same_packages_has_the_same_layers(engine: Engine, aside: str) -> None:
    listing = "cat /usr/share/curation/packages.txt"
    there = in_image(BASE, listing, repository=OURS)
    images.build([BASE], lambda line: None, force=True)
    if in_image(BASE, listing, repository=aside) != there:
        pytest.skip("Debian's packages moved on since the base image was built")
    assert layers(engine, tag(aside, BASE)) == layers(engine, tag(OURS, BASE))


@pytest.fixture
def plain_debian(engine: Engine, aside: str, tmp_path: Path) -> Iterator[str]:
    """A Debian without anything more, as a registry's ``debian:trixie-slim`` is."""
    if (reason := bootstrap.why_not()) is not None:
        pytest.skip(reason)
    archive = tmp_path / "debian.tar"
    bootstrap.bootstrap(["base-files"], archive, tag(aside, "debian"), BuildLog("debian", lambda line: None))
    with archive.open("rb") as file:
        engine.load_image(file)
    yield tag(aside, "debian")
    for image in engine.images(f"{LABEL}.start={tag(aside, 'debian')}"):  # the one that lost its tag, too
        engine.remove_image(image["Id"])
    engine.remove_image(tag(aside, "debian"))


def test_base_on_a_plain_debian_built_twice_has_the_same_layers(
    engine: Engine, aside: str, plain_debian: str
) -> None:
    """Here apt installs the packages in a step of its own; then pip's step and the user's."""
    (first,) = images.build([BASE], lambda line: None, base=plain_debian)
    found = layers(engine, first.tag)
    assert found[0] == layers(engine, plain_debian)[0]
    assert "git version" in in_image(BASE, "git --version; python3 -c 'import pandas'", repository=aside)
    (second,) = images.build([BASE], lambda line: None, base=plain_debian, force=True)
    assert second.labels[f"{LABEL}.start"] == plain_debian
    assert layers(engine, second.tag) == found
