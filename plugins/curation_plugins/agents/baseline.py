"""An agent without a model: one published selection method per iteration."""

from __future__ import annotations

from curation_plugins.agents.programs import FOLDER, TARGET
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import Mount


class BaselineAgent(Agent):
    name = "baseline"
    summary = "no model: one published selection method per iteration, random first"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        refuse_options(self.name, request)
        return baseline_launch(request)


def baseline_launch(request: AgentRequest, *arguments: str) -> AgentLaunch:
    """The start of the baseline's program.

    ``-P`` keeps the working directory off the import path: a file that an earlier process left in
    the workspace must not stand in for a module.
    """
    return AgentLaunch(
        command=("python3", "-P", "-m", "baseline", *arguments),
        image=request.task.config.image,
        environment={"PYTHONPATH": TARGET},
        mounts=(Mount(source=FOLDER, target=TARGET),),
    )


def refuse_options(agent: str, request: AgentRequest) -> None:
    """Options that an agent does not read are a mistake of whoever gave them.

    Raises:
        ConfigInvalid: ``--agent-dir`` or ``--agent-arg`` was given.
    """
    given = [
        option
        for option, value in (
            ("--agent-dir", request.agent_dir),
            ("--agent-arg", request.agent_arg),
        )
        if value is not None
    ]
    if given:
        raise ConfigInvalid(
            f"agent {agent!r} takes no {' and no '.join(given)}",
            hint="Leave it out, or use --agent command to run a program of your own.",
        )
