"""What comes with the harness, registered through the same hooks as anybody's plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from curation_plugins import hookimpl, paths
from curation_plugins.agents.baseline import BaselineAgent
from curation_plugins.agents.claude_code import ClaudeCodeAgent
from curation_plugins.agents.codex import CodexAgent
from curation_plugins.agents.command import CommandAgent
from curation_plugins.agents.nop import NopAgent
from curation_plugins.agents.openhands import OpenHandsAgent
from curation_plugins.agents.random_rows import RandomRowsAgent
from curation_plugins.agents.shell import ShellAgent
from curation_plugins.api import Agent, Engine, Scaffold, Task
from curation_plugins.config import TaskConfig, load
from curation_plugins.engines.local import LocalEngine
from curation_plugins.errors import ConfigInvalid, PluginLayerError
from curation_plugins.scaffolds.adapt import AdaptScaffold
from curation_plugins.scaffolds.guide import GuideScaffold
from curation_plugins.scaffolds.open import OpenScaffold
from curation_plugins.scaffolds.references import ReferencesScaffold
from curation_plugins.scaffolds.research import ResearchScaffold
from curation_plugins.tasks.datacomp.task import DatacompTask
from curation_plugins.tasks.llava.task import LlavaTask

FAMILIES: Final[dict[str, Callable[[TaskConfig], Task]]] = {"datacomp": DatacompTask, "llava": LlavaTask}
"""The code of a task, by the ``family`` that its ``task.yaml`` names."""


@hookimpl
def register_tasks(register: Callable[[Task], None]) -> None:
    """One task for each folder under ``tasks/``; a broken one costs the others nothing."""
    failures: list[Exception] = []
    for file in sorted(paths.TASKS.glob("*/task.yaml")):
        try:
            register(_task(file))
        except PluginLayerError as error:
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"tasks under {paths.TASKS}", failures)


def _task(file: Path) -> Task:
    config = load(file)
    if config.name != file.parent.name:
        raise ConfigInvalid(
            f"{file}: name is {config.name!r}, and the folder is called {file.parent.name!r}",
            hint="Give both the same name.",
        )
    if config.family not in FAMILIES:
        raise ConfigInvalid(
            f"{file}: no task family is called {config.family!r}",
            hint=f"Families: {', '.join(sorted(FAMILIES)) or 'none'}.",
        )
    try:
        return FAMILIES[config.family](config)
    except ConfigInvalid as error:  # what only the family can check: it knows no file
        raise ConfigInvalid(f"{file}: {error.message}", hint=error.hint) from None


@hookimpl
def register_agents(register: Callable[[Agent], None]) -> None:
    for agent in (
        ClaudeCodeAgent(),
        CodexAgent(),
        OpenHandsAgent(),
        BaselineAgent(),
        RandomRowsAgent(),
        NopAgent(),
        CommandAgent(),
        ShellAgent(),
    ):
        register(agent)


@hookimpl
def register_scaffolds(register: Callable[[Scaffold], None]) -> None:
    for scaffold in (OpenScaffold(), GuideScaffold(), ReferencesScaffold(), ResearchScaffold(), AdaptScaffold()):
        register(scaffold)


@hookimpl
def register_engines(register: Callable[[Engine], None]) -> None:
    register(LocalEngine())
