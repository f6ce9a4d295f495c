"""``harness clean --what images`` on a real engine: which untagged images are ours. Needs an engine and base."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation_harness.upkeep import disk
from curation_sandbox import image_builder, image_files, images
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import ImageMissing
from curation_sandbox.image_files import BASE, tag_of

pytestmark = pytest.mark.containers

DOCKERFILE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENV MARK="


@pytest.fixture
def name(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of an image of ours that takes no time to build."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    shutil.copytree(image_files.FOLDER / BASE, tmp_path / "images" / BASE)
    shutil.copytree(image_files.FOLDER / "steps", tmp_path / "images" / "steps")
    (tmp_path / "images" / name).mkdir()
    monkeypatch.setattr(image_files, "FOLDER", tmp_path / "images")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield name
    for image in engine.images(f"{LABEL}.image={name}"):
        engine.remove_image(image["Id"])


def built(name: str, mark: int) -> str:
    (image_files.FOLDER / name / "Dockerfile").write_text(f"{DOCKERFILE}{mark}\n")
    (image,) = images.build([name], lambda line: None)
    return image.digest


def users_image(engine: Engine, name: str, folder: Path, buildkit: str) -> str:
    """What a user builds on an image of ours, and gives no tag."""
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {tag_of(name)}\nENV MINE=1\n")
    command = [image_builder.client(), "--host", engine.host, "build", "--quiet", str(folder)]
    environment = {**os.environ, "DOCKER_BUILDKIT": buildkit}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout.strip()


def test_a_replaced_image_goes_and_what_a_user_built_on_it_stays(engine: Engine, name: str, tmp_path: Path) -> None:
    first = built(name, 1)
    mine = users_image(engine, name, tmp_path / "mine", "1")
    second = built(name, 2)
    assert {mine, first} <= {image["Id"] for image in engine.images(f"{LABEL}.image={name}")}, "it has our labels"
    (found,) = disk.find(["images"], tmp_path / "cache", tmp_path / "runs", engine)
    assert found.what == f"replaced image {name} {first.removeprefix('sha256:')[:12]}"
    assert found.remove()
    with pytest.raises(ImageMissing):
        engine.inspect_image(first)
    assert (engine.inspect_image(mine)["Id"], images.resolve(engine, name).digest) == (mine, second)
    assert disk.find(["images"], tmp_path / "cache", tmp_path / "runs", engine) == []


def test_what_the_engine_calls_a_parent_of_a_users_image_stays_too(engine: Engine, name: str, tmp_path: Path) -> None:
    """The engine's builder of before BuildKit says what an image was built on."""
    first = built(name, 1)
    mine = users_image(engine, name, tmp_path / "mine", "0")
    assert engine.inspect_image(mine)["Parent"] == first
    built(name, 2)
    assert disk.find(["images"], tmp_path / "cache", tmp_path / "runs", engine) == []
    assert not disk._remove_image(engine, first)
    assert {engine.inspect_image(digest)["Id"] for digest in (first, mine)} == {first, mine}
