"""The hooks. Each one registers typed objects; behaviour lives on their classes (``curation_plugins.api``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

from curation_plugins import PROJECT

if TYPE_CHECKING:
    from curation_plugins.api import Agent, Engine, Scaffold, Task

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec
def register_tasks(register: Callable[[Task], None]) -> None:
    """Register the tasks this plugin brings.

    Called once, when the plugin manager is built, for every command. Must be cheap: no torch, no files but
    the task's own YAML.
    """


@hookspec
def register_agents(register: Callable[[Agent], None]) -> None:
    """Register the agents this plugin brings. Called once, when the plugin manager is built; must be cheap."""


@hookspec
def register_scaffolds(register: Callable[[Scaffold], None]) -> None:
    """Register the scaffolds this plugin brings. Called once, when the plugin manager is built; must be cheap."""


@hookspec
def register_engines(register: Callable[[Engine], None]) -> None:
    """Register the engines this plugin brings. Called once, when the plugin manager is built; must be cheap."""
