"""The small task that docs/plugins.md shows in full is run as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from curation_plugins.config import load
from curation_plugins.testing import check_task

ROOT = Path(__file__).resolve().parents[2]


def files_in(page: str) -> dict[str, str]:
    """Code blocks that begin with a comment naming a file of ``my_task``."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, re.M | re.S)
    named = ((re.match(r"# (my_task/[\w.]+)|<!-- (my_task/[\w.]+) -->", block), block) for block in blocks)
    return {match[1] or match[2]: block for match, block in named if match}


@pytest.fixture
def task_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = files_in((ROOT / "docs" / "plugins.md").read_text())
    assert {"my_task/task.py", "my_task/worker.py", "my_task/task.yaml"} <= files.keys(), sorted(files)
    for name, text in files.items():
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    (tmp_path / "my_task" / "__init__.py").touch()
    brief = tmp_path / "my_task" / "brief.md"
    if not brief.exists():
        brief.write_text("Choose rows.\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "my_task"]:
        monkeypatch.delitem(sys.modules, name)
    return __import__("my_task.task", fromlist=["task"])


def test_the_example_task_keeps_the_contract(task_module, tmp_path, monkeypatch):
    folder = tmp_path / "check"
    folder.mkdir()
    task = task_module.MyTask(load(tmp_path / "my_task" / "task.yaml"))
    spec = task.worker("train")  # not pip-installed here, so its workers are told where it is
    monkeypatch.setattr(task, "worker", lambda role: spec.model_copy(update={"python_path": (tmp_path,)}))
    check_task(task, folder)
