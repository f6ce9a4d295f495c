"""The contract of agents with a model: each check finds the fault it is there for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from curation_plugins import assets as task_assets
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_plugins.config import load
from curation_plugins.errors import ConfigInvalid
from curation_plugins.testing import check_agent
from curation_probe.task import TASKS, ProbeTask
from curation_sandbox.gateway.wires import Wire
from probe_bench import quiet


class ModelAgent(Agent):
    """What a good one does."""

    name = "good"
    summary = "does as it should"
    wires = (Wire.CHAT,)
    needs_model = True
    session_files = (".good/*/log.jsonl",)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        if request.model is None:
            raise ConfigInvalid("no model", hint="Give one: --model PROVIDER/NAME.")
        return AgentLaunch(
            command=("run", request.prompt),
            environment={"BASE_URL": request.gateway},
            files={".good/model.json": json.dumps(request.model.name)},
        )

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        return self.launch(request).model_copy(update={"command": ("run", "--resume", message)})


class StartsWithout(ModelAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("run",))


class NamesNoOption(ModelAgent):
    def launch(self, request: AgentRequest) -> AgentLaunch:
        if request.model is None:
            raise ConfigInvalid("no model", hint="Give one.")
        return super().launch(request)


class SpeaksNothing(ModelAgent):
    wires = ()


class Changed(ModelAgent):
    """A launch of the good one with something else in it."""

    change: Mapping[str, object] = {}

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return super().launch(request).model_copy(update=dict(self.change))


class KnowsNoPrompt(Changed):
    change = {"command": ("run",)}


class HasItsOwnAddress(Changed):
    change = {"environment": {"BASE_URL": "http://127.0.0.1:8123"}}


class HasItsOwnModel(Changed):
    change = {"files": {".good/model.json": '"gpt-5"'}}


class WritesAnywhere(Changed):
    change = {"files": {"/etc/passwd": ""}}


class WritesAbove(Changed):
    change = {"files": {".good/../../x": ""}}


class KeyInAFile(Changed):
    change = {"files": {".good/model.json": "key = sk-0123456789"}}


class KeyInAnArgument(Changed):
    change = {"command": ("run", "--key=sk-0123456789")}


class ForgetsTheMessage(ModelAgent):
    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        return self.launch(request)


class GoesOnElsewhere(ModelAgent):
    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch | None:
        return AgentLaunch(command=("run", message), image="other")


class ReadsJson(ModelAgent):
    def is_final(self, line: bytes) -> bool:
        return bool(line) and json.loads(line) == "end"


class TrustsTheLog(ModelAgent):
    def threads(self, folder: Path) -> Mapping[str, str]:
        return {str(len(file.read_text())): "x" for file in folder.glob(".good/*/log.jsonl")}


class NamesNumbers(ModelAgent):
    def threads(self, folder: Path) -> Mapping[str, str]:
        return {"id": 5}  # type: ignore[dict-item]


class LooksAbove(ModelAgent):
    session_files = ("../*/secrets",)


@pytest.mark.parametrize(
    ("agent", "says"),
    [
        (StartsWithout(), "starts without one"),
        (NamesNoOption(), "does not name --model"),
        (SpeaksNothing(), "speaks no wire format"),
        (KnowsNoPrompt(), "does not hand over the prompt"),
        (HasItsOwnAddress(), "does not hand over the gateway"),
        (HasItsOwnModel(), "does not hand over the model's name"),
        (WritesAnywhere(), "'/etc/passwd' in files is no path below HOME"),
        (WritesAbove(), "in files is no path below HOME"),
        (KeyInAFile(), "model.json holds the host's SOME_API_KEY"),
        (KeyInAnArgument(), "command holds the host's SOME_API_KEY"),
        (ForgetsTheMessage(), "proceed does not hand over its message"),
        (GoesOnElsewhere(), "continued in another image"),
        (ReadsJson(), "is_final raises"),
        (TrustsTheLog(), "threads raises"),
        (NamesNumbers(), "threads names what is no text"),
        (LooksAbove(), "in session_files is no path below HOME"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Agent) else "",
)
def test_faulty_agent_with_a_model_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agent: Agent, says: str
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-0123456789")
    task = ProbeTask(load(TASKS / "probe" / "task.yaml"))
    assets = task_assets.ensure(tmp_path, task, quiet)
    check_agent(ModelAgent(), task, assets)
    with pytest.raises(AssertionError, match=says):
        check_agent(agent, task, assets)


def test_the_agent_with_a_model_in_the_docs_keeps_the_contract(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text()
    (code,) = [found for found in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "needs_model" in found]
    made: dict[str, type[Agent]] = {}
    exec(code, made)
    task = ProbeTask(load(TASKS / "probe" / "task.yaml"))
    check_agent(made["MyModelAgent"](), task, task_assets.ensure(tmp_path, task, quiet))
