"""The contract of an agent."""

from __future__ import annotations

import os
from pathlib import Path

from curation_plugins.api import Agent, AgentLaunch, AgentRequest, Task
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_plugins.errors import ConfigInvalid

_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def check_agent(
    agent: Agent, task: Task, assets: Path, *, agent_dir: Path | None = None, agent_arg: str | None = None
) -> None:
    """Check how an agent wants to be started on ``task``; nothing is started.

    An agent that needs options gets them by ``agent_dir`` and ``agent_arg``; without them it must say so.
    """
    require_name("agent", agent.name)
    require_summary("agent", agent.name, agent.summary)
    request = AgentRequest(task=task, assets=assets, seed=0, iterations=2, agent_dir=agent_dir, agent_arg=agent_arg)
    try:
        launch = agent.launch(request)
    except ConfigInvalid as error:
        require(
            agent_arg is None and agent_dir is None and error.hint,
            f"agent {agent.name}: launch refuses its options and does not say what would be right: {error}",
        )
        return
    require(launch.command, f"agent {agent.name}: launch names no command")
    require(agent.launch(request) == launch, f"agent {agent.name}: two launches for one request differ")
    for mount in launch.mounts:
        require(mount.source.exists(), f"agent {agent.name}: {mount.source}, which it mounts, is not there")
        readable = mount.source.stat().st_mode & 0o004
        require(readable, f"agent {agent.name}: {mount.source} cannot be read by the container's user")
        require(
            not assets.is_relative_to(mount.source) and not mount.source.is_relative_to(assets),
            f"agent {agent.name}: it mounts the task's files, where answers and sealed items are",
        )
    _check_environment(agent, launch)


def _check_environment(agent: Agent, launch: AgentLaunch) -> None:
    secrets = {
        value: name
        for name, value in os.environ.items()
        if len(value) >= 8 and any(word in name.upper() for word in _SECRET)
    }
    for name, value in launch.environment.items():
        require(
            value not in secrets,
            f"agent {agent.name}: {name} in its environment is the host's {secrets.get(value)};"
            " no key enters a container",
        )
