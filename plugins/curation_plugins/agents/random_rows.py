"""Fresh random rows in every iteration: what any other agent has to beat."""

from __future__ import annotations

from curation_plugins.agents.baseline import baseline_launch
from curation_plugins.agents.options import refuse_options
from curation_plugins.api import Agent, AgentLaunch, AgentRequest


class RandomRowsAgent(Agent):
    name = "random"
    summary = "fresh random rows every iteration"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        refuse_options(self.name, request)
        return baseline_launch(request, "--only", "random")
