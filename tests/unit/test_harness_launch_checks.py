"""What a launch has checked before its run begins, however long the making of the task's files takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation_harness import launch
from curation_harness.planning.plan import LaunchOptions
from curation_harness.record.models import ImageUsed
from curation_harness.watcher import Watcher
from curation_plugins.registry import Registry


class Begun(Exception):
    """Instead of a run."""


def test_the_image_that_is_started_is_one_whose_sandbox_was_checked(
    tmp_path: Path, cache: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody builds images while the task's files are made: the name stands for another one then."""
    built = iter("ab")
    checked: list[str] = []

    def find(name: str) -> ImageUsed:
        return ImageUsed(name=name, digest="sha256:" + next(built) * 64, labels={})

    def begin(plan: Any, seat: Any, agent: Any, image: ImageUsed, *rest: Any) -> None:
        assert image.digest == checked[-1]
        raise Begun

    monkeypatch.setattr(launch, "find_image", find)
    monkeypatch.setattr(launch.sandbox_check, "require", lambda image, *rest: checked.append(image.digest))
    monkeypatch.setattr(launch, "begin", begin)
    options = LaunchOptions(task="probe", agent="nop", scaffold="open", runs=tmp_path / "runs", cache=cache)
    with pytest.raises(Begun):
        launch.launch(options, registry, Watcher())
    assert [digest[-1] for digest in checked] == ["a", "b"]
