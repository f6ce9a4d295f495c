"""An agent for tests that is told planted truth: the best that curation can do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import Mount

PROGRAMS: Final = Path(__file__).resolve().parent / "programs"
TARGET: Final = "/agent"


class OracleAgent(Agent):
    name = "oracle"
    summary = "for tests: is handed planted truth and submits good rows only"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        """Raises:
        ConfigInvalid: the task has no planted truth.
        """
        # before the assets are made, a launch is asked for once to see its image
        selections = self._selections(request) if request.assets.exists() else []
        return AgentLaunch(
            command=("python3", f"{TARGET}/oracle.py", *selections),
            image=request.task.config.image,
            mounts=(Mount(source=PROGRAMS, target=TARGET),),
        )

    def _selections(self, request: AgentRequest) -> list[str]:
        found = []
        for iteration in range(request.iterations):
            seed = request.seed + iteration
            try:
                rows = request.task.reference_rows("clean-only", seed, request.assets)
            except KeyError:
                rows = None
            if rows is None:
                raise ConfigInvalid(f"agent 'oracle' needs planted truth, and task {request.task.name!r} has none")
            found.append(",".join(str(row) for row in rows))
        return found
