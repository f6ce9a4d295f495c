"""What others published is shown for the task it belongs to, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_plugins.config import load_published, override
from curation_plugins.errors import ConfigInvalid
from curation_plugins.registry import Registry


def test_the_published_scores_belong_to_the_tasks_they_are_of(registry: Registry) -> None:
    with_scores = [task.name for task in registry.tasks if task.published()]
    assert with_scores == ["datacomp-small", "llava"]
    scores = {one.score for one in registry.tasks.get("llava").published()}
    assert {0.288, 0.337, 0.371} <= scores
    assert all("2606.04261" in one.source for one in registry.tasks.get("llava").published())


@pytest.mark.parametrize(("change", "shown"), [("submission.rows_max=500", False), ("budgets.iterations=3", True)])
def test_a_changed_task_is_another_one(registry: Registry, change: str, shown: bool) -> None:
    task = registry.tasks.get("llava")
    assert bool(task.with_config(override(task.config, [change])).published()) is shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scores: [{name: x, score: 28.8, source: y}]", "less than or equal to 1"),
        ("scores: [{name: x, score: 0.288}]", "source"),
        ("scores: [{name: x, score: 0.288, source: y, sealed: 1}]", "sealed: unknown key"),
        ("- a list", "keys and values were expected"),
    ],
)
def test_a_wrong_file_is_told_with_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "published.yaml"
    path.write_text(text)
    with pytest.raises(ConfigInvalid, match=message):
        load_published(path)
    assert load_published(tmp_path / "none.yaml") == ()
