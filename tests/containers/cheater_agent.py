"""A plugin, for tests, with an agent that declares a session log and files for its home, and is continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from curation_plugins import hookimpl
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.spec import Mount

FILES: Final = ("link.json", "pool.json", "loop.json", "pipe.json", "shut.json", "folder.json", "inner/a.json")


class LeavingAgent(Agent):
    name = "leaving"
    summary = "leaves hostile files in its home"
    wires = (Wire.CHAT, Wire.RESPONSES, Wire.MESSAGES)
    session_files = ("log/*.jsonl", "deep/*.jsonl")

    def __init__(self) -> None:
        self._turns = 0

    def launch(self, request: AgentRequest) -> AgentLaunch:
        assert request.agent_dir is not None
        return AgentLaunch(
            command=("python3", "/agent/leave.py", "1"),
            files={f"conf/{name}": "given" for name in FILES},
            environment={"PYTHONPATH": "/agent"},
            mounts=(Mount(source=request.agent_dir, target="/agent"),),
        )

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch:
        if message:  # it is also asked whether it could go on at all
            self._turns += 1
        command = ("python3", "/agent/leave.py", str(self._turns + 1))
        return self.launch(request).model_copy(update={"command": command})


@hookimpl
def register_agents(register: Callable[[Agent], None]) -> None:
    register(LeavingAgent())
