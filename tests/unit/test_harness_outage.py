"""A model provider that is down for ten minutes: the real gateway, its waits and the run's, all in a two-hundredth of
their time; the container alone is stood in for."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr
from scripted_model import KEY, ScriptedModel
from scripted_moves import Say

from curation_harness.agent import phase as agent_phase
from curation_harness.agent.box import SocketFolder
from curation_harness.agent.phase import AgentPhase
from curation_harness.agent.seat import ModelLine, Seat
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.models import ModelUsed
from curation_harness.record.state import ledger
from curation_harness.run.loop import RunLoop
from curation_harness.watcher import Watcher
from curation_plugins.api import AgentLaunch, AgentRequest
from curation_sandbox.gateway.desk import ModelPins, Upstream
from curation_sandbox.gateway.http_source import HttpSource, Retry
from curation_sandbox.gateway.wires import Wire
from test_harness_agent_phase import Stage, Talker, Turn

FASTER = 200.0
DOWN = 600.0 / FASTER
"""Ten minutes."""
BODY = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(autouse=True)
def _faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_phase, "OUTAGE_SECONDS", agent_phase.OUTAGE_SECONDS / FASTER)
    monkeypatch.setattr(agent_phase, "POLL_SECONDS", 0.01)


def faster(retry: Retry) -> Retry:
    return Retry(
        tries=retry.tries,
        first_seconds=retry.first_seconds / FASTER,
        longest_seconds=retry.longest_seconds / FASTER,
        total_seconds=retry.total_seconds / FASTER,
    )


@dataclass
class Caller(Stage):
    """Its agent asks the model once a turn, and ends with status 1 where it gets no answer."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)

    def run(self) -> None:
        address = f"http://127.0.0.1:{self.port}"
        used = ModelUsed(
            provider="anthropic", name=BODY["model"], small=BODY["model"], wire=Wire.MESSAGES, base_url=address
        )
        upstream = Upstream(provider="anthropic", base_url=address, auth="x-api-key", key=SecretStr(KEY))
        line = ModelLine(
            used=used, pins=ModelPins(models=(BODY["model"],)), source=HttpSource(upstream, faster(Retry()))
        )
        request = AgentRequest(task=self.loop.parts.task, assets=self.loop.parts.assets, seed=1, iterations=2)
        AgentPhase(
            record=self.loop.record,
            seat=Seat(agent=self.agent, request=request, image="i", model=line),
            handler=self.loop.handler,
            work=self.loop.work,
            clock=self.loop.clock,
            watcher=Watcher(),
            box=self._box,
            stopping=lambda: self.stopping,
            done_at=lambda: self.done,
            tell_interruption=lambda: None,
        ).run()

    def _box(self, launch: AgentLaunch, sockets: SocketFolder) -> object:
        self.turns = [Turn(act=lambda: self.ask(sockets))]
        return super()._box(launch, sockets)

    def ask(self, sockets: SocketFolder) -> None:
        transport = httpx.HTTPTransport(uds=str(sockets.path / "llm.sock"))
        with httpx.Client(transport=transport, timeout=60) as client:
            reply = client.post("http://gateway/v1/messages", json=BODY, headers={"anthropic-version": "2023-06-01"})
        self.statuses.append(reply.status_code)
        if reply.status_code == 200:
            self.loop.handler.done()
            self.done = time.monotonic()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_a_provider_that_is_down_for_ten_minutes_is_waited_for(open_loop) -> None:
    port = free_port()

    def come_back() -> None:
        time.sleep(DOWN)
        with ScriptedModel([Say("hello")], port=port):
            over.wait(60)

    over = threading.Event()
    provider = threading.Thread(target=come_back)
    loop: RunLoop
    with open_loop("budgets.continuations=0") as loop:
        stage = Caller(loop, Talker(), [], port=port)
        began = time.monotonic()
        provider.start()
        try:
            stage.run()
        finally:
            over.set()
            provider.join()
        took = time.monotonic() - began
        assert took > DOWN
        assert stage.statuses[-1] == 200
        assert 2 <= len(stage.statuses) <= 1 + agent_phase.OUTAGES
        events = loop.record.events
        assert {event.data["why"] for event in events.of("agent-continued")} == {"provider"}
        assert not events.of("agent-lost")
        assert not events.of("gateway-error")
        outcomes = [entry.outcome for entry in ExchangeLog(loop.record.folder).entries()]
        assert outcomes == ["provider-error"] * (len(outcomes) - 1) + ["ok"]
        # what the agent waited for, in the gateway and between turns, is no time of its own
        assert ledger(loop.record).agent_seconds < took / 2
