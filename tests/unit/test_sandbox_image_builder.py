"""A build whose cached steps have lost their layers, played by a script in the builder's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_sandbox.build_log import BuildLog
from curation_sandbox.errors import ImageBuildFailed
from curation_sandbox.image_builder import Builder

LOST = "failed to get layer sha256:e456: layer does not exist"


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return []


def script(folder: Path, body: str) -> list[str]:
    path = folder / "builder.sh"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{body}\n')
    path.chmod(0o755)
    return [str(path), "build"]


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_a_cache_whose_layers_are_gone_is_built_around(tmp_path: Path, lines: list[str]) -> None:
    command = script(tmp_path, f'case "$*" in *--no-cache*) exit 0;; esac; echo "{LOST}"; exit 1')
    Builder._run(command, "base", BuildLog("base", lines.append), cached=True)
    assert calls(tmp_path) == ["build", "build --no-cache"]
    assert any("without it" in line for line in lines)


@pytest.mark.parametrize(("said", "cached"), [("exit code: 1", True), (LOST, False)], ids=["other-fault", "no-cache"])
def test_any_other_failure_is_not_tried_again(tmp_path: Path, lines: list[str], said: str, cached: bool) -> None:
    command = script(tmp_path, f'echo "{said}"; exit 1')
    with pytest.raises(ImageBuildFailed, match=said):
        Builder._run(command, "base", BuildLog("base", lines.append), cached=cached)
    assert len(calls(tmp_path)) == 1
