"""A person in the agent's seat: an interactive shell inside the container, for task authors."""

from __future__ import annotations

from curation_plugins.agents.options import refuse_options
from curation_plugins.agents.programs import FOLDER, TARGET
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.spec import Mount


class ShellAgent(Agent):
    name = "shell"
    summary = "a person in the agent's seat: an interactive shell in the container"
    wires = (Wire.CHAT, Wire.RESPONSES, Wire.MESSAGES)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        refuse_options(self.name, request)
        return AgentLaunch(
            command=("bash", "--rcfile", f"{TARGET}/shell/bashrc", "-i"),
            image=request.task.config.image,
            mounts=(Mount(source=FOLDER, target=TARGET),),
            interactive=True,
        )
