"""Recorded model traffic for tests: a record with exchanges, in the true shapes of the three wires."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import scripted_chat
import scripted_messages
import scripted_responses
from nat.atif.trajectory import Trajectory as Standard
from scripted_moves import Spoken, ToolCall

import made_records as made
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.store import RunRecord
from curation_harness.trajectory import building
from curation_harness.trajectory.atif import Trajectory
from curation_plugins.agents.shell import ShellAgent
from curation_plugins.api import Agent
from curation_sandbox.gateway.exchange import Chunk, Exchange, Usage
from curation_sandbox.gateway.wires import Wire, endpoint

Json = dict[str, Any]
PATHS = {Wire.MESSAGES: "/v1/messages?beta=true", Wire.RESPONSES: "/v1/responses", Wire.CHAT: "/v1/chat/completions"}
MODULES: dict[Wire, Any] = {
    Wire.MESSAGES: scripted_messages,
    Wire.RESPONSES: scripted_responses,
    Wire.CHAT: scripted_chat,
}
BEGAN = 1_780_000_000.0


class NamedThreads(ShellAgent):
    """An agent whose native log names sub-agents."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def threads(self, folder: Path) -> Mapping[str, str]:
        return self._names


class Traffic:
    """Writes a run's exchanges, ten seconds apart."""

    def __init__(self, tmp_path: Path, *, events: bool = False) -> None:
        self.record = made.made_run(tmp_path) if events else RunRecord.create(tmp_path, made.made_spec(), None)
        self.log = ExchangeLog(self.record.folder)
        self.count = 0

    def add(self, path: str, request: Json | bytes, response: bytes, **more: Any) -> None:
        self.count += 1
        known = endpoint("POST", path.partition("?")[0])
        assert known is not None
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        given: Json = {
            "id": self.count,
            "began": BEGAN + 10 * self.count,
            "seconds": 2.0,
            "method": "POST",
            "path": path,
            "wire": known.wire,
            "kind": known.kind,
            "model": "made-model",
            "request": body,
            "sent": body,
            "status": 200,
            "chunks": (Chunk(0.1, response),),
            "outcome": "ok",
            "usage": Usage(input=100, output=10, cache_read=60, reasoning=4),
        }
        turn = more.pop("turn", 1)
        self.log.append(Exchange(**(given | more)), turn=turn, dollars=0.25)

    def ask(
        self,
        messages: Sequence[Json],
        reply: bytes = b"",
        *,
        system: str = "You are an agent.",
        tools: Sequence[str] = ("Bash",),
        **more: Any,
    ) -> None:
        """One request of the Messages API."""
        body = {
            "model": "m",
            "system": [{"type": "text", "text": system}],
            "messages": list(messages),
            "tools": [{"name": name, "input_schema": {}} for name in tools],
        }
        self.add(PATHS[Wire.MESSAGES], body, reply, **more)

    def build(self, agent: Agent | None = None) -> Trajectory:
        return valid(self.record, agent)


def valid(record: RunRecord, agent: Agent | None = None) -> Trajectory:
    """The written trajectory, held against the models of another maker."""
    if agent is not None:
        (record.folder / "native" / "turn-001").mkdir(parents=True, exist_ok=True)
    path = building.write(record, agent)
    Standard.model_validate_json(path.read_bytes())
    found = building.load(record)
    assert found is not None
    return found


def spoken(id: str, text: str = "", call: tuple[str, Json] | None = None, think: str = "") -> Spoken:
    made_call = None if call is None else ToolCall(id, *call)
    return Spoken(id=id, model="m", think=think, text=text, call=made_call, input=100, cached=60)


def streamed(wire: Wire, reply: Spoken) -> bytes:
    module = MODULES[wire]
    return b"".join(module.events(reply, True) if wire is Wire.CHAT else module.events(reply))


def whole(wire: Wire, reply: Spoken) -> bytes:
    return json.dumps(MODULES[wire].whole(reply)).encode()


def said(id: str, text: str = "", call: tuple[str, Json] | None = None, think: str = "") -> bytes:
    """A streamed reply of the Messages API."""
    return streamed(Wire.MESSAGES, spoken(id, text, call, think))


def user(text: str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def assistant(id: str, text: str = "", call: tuple[str, Json] | None = None) -> Json:
    blocks: list[Json] = [{"type": "text", "text": text}] if text else []
    if call is not None:
        blocks.append({"type": "tool_use", "id": f"toolu_{id}", "name": call[0], "input": call[1]})
    return {"role": "assistant", "content": blocks}


def result(id: str, text: str) -> Json:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{id}", "content": text}]}


def lines(found: Trajectory) -> list[str]:
    """The steps in short: source, text, calls, results."""
    told = []
    for step in found.steps:
        calls = [call.function_name for call in step.tool_calls or ()]
        results = [entry.content for entry in step.observation.results] if step.observation else []
        told.append(
            " | ".join([step.source, step.message.split("\n")[0][:50], *calls, *(str(r)[:20] for r in results)])
        )
    return told
