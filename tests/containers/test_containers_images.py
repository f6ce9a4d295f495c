"""The base image, as an agent meets it; and images as files. Needs an engine and the built image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_shell import in_image

from curation_sandbox import image_builder, image_files, images
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import CurationError, ImageBuildFailed, ImageMissing
from curation_sandbox.image_files import BASE

pytestmark = pytest.mark.containers


def test_python_has_the_data_packages_with_any_path() -> None:
    program = "import numpy, pandas, pyarrow.parquet, PIL.Image, sklearn.linear_model; print(numpy.arange(3).sum())"
    assert in_image(BASE, f'python3 -c "{program}"; python -c "{program}"').split() == ["3", "3"]
    # A login shell, or a program that sets its own PATH, must find the same packages.
    assert in_image(BASE, f'/usr/bin/python3 -c "{program}"').split() == ["3"]


def test_imports_find_their_bytecode() -> None:
    # The root is read-only: what was not compiled in the build would be compiled at every start.
    verbose = "python3 -v -c 'import pandas, sklearn.linear_model' 2>&1"
    assert in_image(BASE, f"{verbose} | grep -c 'code object from .*/opt/python/.*[.]py.$' || true").strip() == "0"
    assert int(in_image(BASE, f"{verbose} | grep -c 'code object from .*/opt/python/.*[.]pyc.$'")) > 100


def test_tools_are_there() -> None:
    assert "git version" in in_image(BASE, "git --version; rg --version; ps --version; less --version")


def test_user_has_its_places_and_no_more() -> None:
    told = in_image(
        BASE,
        "id -u; id -un; echo $HOME; pwd; for d in /home/agent /workspace /pool /run/curation; do"
        " stat -c '%n %u' $d; done; stat -c '%s %a' /usr/local/bin/curate",
    )
    assert told.splitlines() == [
        "1000", "agent", "/home/agent", "/workspace", "/home/agent 1000", "/workspace 1000", "/pool 0",
        "/run/curation 0", "0 755",
    ]  # fmt: skip


def test_nothing_in_the_image_raises_rights_or_is_writable_by_all() -> None:
    assert in_image(BASE, "find / -xdev -type f -perm /6000 2>/dev/null || true") == ""
    writable = "find / -xdev ! -type l -perm -0002 ! -path '/tmp*' ! -path '/var/tmp' 2>/dev/null || true"
    assert in_image(BASE, writable) in ("", "/run/lock\n")


def test_image_does_not_tell_where_its_packages_came_from() -> None:
    found = in_image(
        BASE,
        "cat /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/* /etc/pip.conf"
        " /root/.config/pip/pip.conf /opt/python/pip.conf 2>/dev/null | grep -i -E 'proxy|index-url|token' || true;"
        " find /run/secrets /dev/shm -mindepth 1 2>/dev/null || true",
    )
    assert found == ""


def test_image_lists_its_packages() -> None:
    listed = in_image(BASE, "cat /usr/share/curation/packages.txt /usr/share/curation/python.txt")
    for name in (*image_files.debian_packages(), "numpy==", "pandas=="):
        assert name in listed


def test_image_remembers_its_inputs_and_versions(engine: Engine) -> None:
    image = images.resolve(engine, BASE)
    assert image.digest.startswith("sha256:")
    assert {"debian", "numpy", "pandas"} <= set(image.versions)
    assert {f"{LABEL}.inputs", f"{LABEL}.base", f"{LABEL}.start"} <= set(image.labels)
    assert image.digest in {one.digest for one in images.list_images()}


def test_second_build_reuses_the_first() -> None:
    lines: list[str] = []
    (first,) = images.build([BASE], lambda line: None)
    (second,) = images.build([BASE], lines.append)
    assert second.digest == first.digest
    assert len(lines) == 1
    assert "up to date" in lines[0]


def test_missing_image_names_the_command_that_builds_it(engine: Engine) -> None:
    with pytest.raises(ImageMissing, match="no image"):
        images.resolve(engine, f"nobody/{uuid.uuid4().hex}")


# Builds of small images of our own


@pytest.fixture
def small(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder of images with one image beside base, that takes no time to build."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    (tmp_path / "images" / name).mkdir(parents=True)
    for shared in (BASE, "steps"):
        shutil.copytree(image_files.FOLDER / shared, tmp_path / "images" / shared)
    (tmp_path / "images" / name / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENV MARK=1\n")
    monkeypatch.setattr(image_files, "FOLDER", tmp_path / "images")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield name
    for image in engine.images(f"{LABEL}.image={name}"):  # one that a later build took the tag from, too
        engine.remove_image(image["Id"])


def test_changed_dockerfile_is_built_again(small: str, tmp_path: Path) -> None:
    (first,) = images.build([small], lambda line: None)
    (again,) = images.build([small], lambda line: None)
    (tmp_path / "images" / small / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nENV MARK=2\n")
    (changed,) = images.build([small], lambda line: None)
    assert first.digest == again.digest != changed.digest


def test_failed_step_is_shown_with_its_log(small: str, tmp_path: Path) -> None:
    (tmp_path / "images" / small / "Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo about to break; exit 7\n"
    )
    with pytest.raises(ImageBuildFailed, match="about to break") as caught:
        images.build([small], lambda line: None)
    (log,) = (tmp_path / "cache").rglob("*.log")
    assert str(log) in caught.value.message
    assert "about to break" in log.read_text()


def test_secrets_of_the_build_stay_out_of_image_and_history(
    engine: Engine, small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"token-{uuid.uuid4().hex}"
    monkeypatch.setenv("PIP_INDEX_URL", f"https://user:{secret}@index.example/simple")
    monkeypatch.setenv("npm_config_//registry.example/:_authToken", secret)
    monkeypatch.setenv("CURATION_DEBIAN_MIRROR", f"http://{secret}.example/debian")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{secret}.example:1")
    (tmp_path / "images" / small / "Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER root\n"
        "RUN --mount=type=secret,id=pipconf,target=/dev/shm/pipconf"
        " --mount=type=secret,id=npmrc,target=/dev/shm/npmrc"
        " --mount=type=secret,id=sources,target=/dev/shm/sources"
        " sha256sum /dev/shm/* && grep -q token- /dev/shm/pipconf && grep -q token- /dev/shm/npmrc"
        " && grep -q token- /dev/shm/sources && echo $HTTPS_PROXY | grep -q token-\n"
    )
    images.build([small], lambda line: None)
    tag = image_files.tag_of(small)
    shown = subprocess.run(
        [image_builder.client(), "history", "--no-trunc", tag], capture_output=True, text=True, check=True
    ).stdout
    assert secret not in shown
    assert secret not in json.dumps(engine.inspect_image(tag))
    archive = tmp_path / "a.tar"
    images.save(small, archive)
    needle = secret.encode()
    with archive.open("rb") as file:
        before = b""
        while block := file.read(2**22):
            assert needle not in before[-64:] + block
            before = block


def test_saved_image_comes_back_with_the_same_digest(engine: Engine, small: str, tmp_path: Path) -> None:
    (built,) = images.build([small], lambda line: None)
    path = tmp_path / "saved.tar"
    assert images.save(small, path).digest == built.digest
    assert not list(tmp_path.glob(".*.part"))
    engine.remove_image(image_files.tag_of(small))
    with pytest.raises(ImageMissing):
        images.resolve(engine, small)
    (loaded,) = images.load(path)
    assert (loaded.name, loaded.digest, dict(loaded.labels)) == (small, built.digest, dict(built.labels))
    with tarfile.open(path) as archive:
        assert "manifest.json" in archive.getnames()


def test_cut_archive_is_refused(small: str, tmp_path: Path) -> None:
    images.build([small], lambda line: None)
    path = tmp_path / "saved.tar"
    images.save(small, path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(CurationError):
        images.load(path)
