"""The entry point: what ``pip install`` adds to the harness."""

from __future__ import annotations

from collections.abc import Callable

from curation_plugins import hookimpl
from curation_plugins.api import Agent, Task
from curation_plugins.config import load
from curation_probe.oracle import OracleAgent
from curation_probe.task import TASKS, ProbeTask


@hookimpl
def register_tasks(register: Callable[[Task], None]) -> None:
    for name in ("probe", "probe-venv"):
        register(ProbeTask(load(TASKS / name / "task.yaml")))


@hookimpl
def register_agents(register: Callable[[Agent], None]) -> None:
    register(OracleAgent())
