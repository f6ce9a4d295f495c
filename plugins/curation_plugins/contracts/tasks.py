"""The whole contract of a task."""

from __future__ import annotations

import re
from pathlib import Path

from curation_plugins import assets as task_assets
from curation_plugins.api import Task
from curation_plugins.contracts.require import require, require_name
from curation_plugins.contracts.task_files import check_task_files
from curation_plugins.contracts.task_training import check_task_training

_ASSETS_KEY = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


def check_task(task: Task, folder: Path) -> None:
    """Check a task: what it says, its files (made twice), and its training and scoring by real workers.

    ``folder`` is an empty folder for the task's files. Takes two rounds of ``prepare``, three trainings and
    eight evaluations.
    """
    check_task_words(task)
    assets = task_assets.ensure(folder / "cache", task, _quiet)
    check_task_files(task, assets)
    check_prepared_twice(task, assets, folder)
    check_task_training(task, assets, folder)


def check_task_words(task: Task) -> None:
    """Check what needs no files: the task's name, brief, key, and that settings do not change it."""
    require_name("task", task.name)
    require(task.brief().strip(), f"task {task.name}: the brief is empty; it is all an agent knows of the task")
    require(task.config.title.strip(), f"task {task.name}: the title is empty")
    key = task.assets_key()
    require(
        _ASSETS_KEY.match(key),
        f"task {task.name}: assets_key {key!r} becomes a folder's name: lower-case letters, digits, dashes",
    )
    again = task.with_config(task.config)
    require(
        again.config == task.config and again.assets_key() == key,
        f"task {task.name}: with_config(config) gives another task than the one it was called on",
    )
    signals = task.signals()
    for signal in signals:
        require_name("signal", signal.name)
        require(signal.description.strip(), f"task {task.name}: signal {signal.name} has no description")
    names = [signal.name for signal in signals]
    require(len(set(names)) == len(names), f"task {task.name}: two signals have one name")


def check_prepared_twice(task: Task, assets: Path, folder: Path) -> None:
    """Check that ``prepare`` makes the same pool again: scores of different pools do not compare."""
    again = task_assets.ensure(folder / "cache-again", task, _quiet)
    require(
        task_assets.pool_digest(again) == task_assets.pool_digest(assets),
        f"task {task.name}: prepare made another pool the second time; draw from fixed seeds and iterate in a"
        " fixed order (not over sets)",
    )


def _quiet(what: str, done: float) -> None:
    """Progress that nobody reads."""
