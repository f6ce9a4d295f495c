"""The agent's seat in one run: which program sits in it, how it is started and how it goes on."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from curation_harness.agent.model_desk import Denied
from curation_harness.record.models import ModelUsed
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.gateway.desk import ModelPins, ReplySource
from curation_sandbox.gateway.exchange import Ask


@dataclass(frozen=True)
class ModelLine:
    """The model behind a run's gateway."""

    used: ModelUsed
    pins: ModelPins
    source: ReplySource
    denied: Callable[[Ask], Denied | None] | None = None
    """A replay's: what the recorded run's budgets said to a request."""


@dataclass(frozen=True)
class Seat:
    """An agent with everything it is started with."""

    agent: Agent
    request: AgentRequest
    image: str
    """Image id of its container."""
    model: ModelLine | None = None

    def launch(self, start: int) -> AgentLaunch:
        """How it begins a conversation; ``start`` is 1, or more if an earlier beginning came to nothing: a program
        may refuse to use the name of a conversation twice."""
        return self.agent.launch(self._request(start))

    def proceed(self, start: int, message: str) -> AgentLaunch | None:
        """How it goes on in the conversation of ``launch(start)``; None: it cannot."""
        return self.agent.proceed(self._request(start), message)

    def _request(self, start: int) -> AgentRequest:
        if start == 1:
            return self.request
        name = uuid.uuid5(uuid.UUID(self.request.session), f"start {start}")
        return dataclasses.replace(self.request, session=str(name))
