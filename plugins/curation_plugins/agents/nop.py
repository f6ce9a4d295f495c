"""An agent that leaves at once: what a run costs, and how it ends, without any submission."""

from __future__ import annotations

from curation_plugins.agents.options import refuse_options
from curation_plugins.api import Agent, AgentLaunch, AgentRequest


class NopAgent(Agent):
    name = "nop"
    summary = "submits nothing and exits"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        refuse_options(self.name, request)
        return AgentLaunch(command=("true",), image=request.task.config.image)
