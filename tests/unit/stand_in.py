"""A run without a container: the loop of ``launch`` and ``resume`` with everything in it real but the box the agent
sits in. The stand-in talks to the submit socket and to the gateway as a program in a container does, step by step,
each step under a key of its own: started again, it goes through all of them and is told what it was told.
"""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from curation_harness.agent.box import SocketFolder
from curation_harness.agent.seat import ModelLine
from curation_harness.agent_container import CURATE
from curation_harness.record.models import ModelUsed, Price
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_sandbox.container import ExitStatus
from curation_sandbox.gateway.desk import ModelPins, Reply
from curation_sandbox.gateway.exchange import Ask
from curation_sandbox.gateway.wires import Wire

MODEL: Final = "scripted"
USED: Final = ModelUsed(
    provider="openai-compatible",
    name=MODEL,
    small=MODEL,
    wire=Wire.CHAT,
    base_url="http://127.0.0.1:9",
    prices=(Price(model=MODEL, input=1_000_000, output=1_000_000, cached=1_000_000),),  # a dollar a token
)


def _curate() -> ModuleType:
    """The program ``curate``, which is a file and no module of a package."""
    spec = importlib.util.spec_from_file_location("curate_of_the_container", CURATE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CURATE_MODULE: Final = _curate()


@dataclass
class Provider:
    """A model that answers each question in the same words, and notes each on disk before it does."""

    notes: Path

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Reply]:
        return self._open(ask)

    @asynccontextmanager
    async def _open(self, ask: Ask) -> AsyncIterator[Reply]:
        with self.notes.open("ab", buffering=0) as file:
            file.write(f"{ask.id} {len(ask.body)}\n".encode())
        usage = {"prompt_tokens": len(ask.body) // 4, "completion_tokens": 2, "total_tokens": len(ask.body) // 4 + 2}
        message = {"role": "assistant", "content": "go on"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        said = {"id": "c", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]}

        async def pieces() -> AsyncIterator[bytes]:
            yield json.dumps({**said, "usage": usage}).encode()

        yield Reply(200, {"content-type": "application/json"}, pieces())

    async def close(self) -> None:
        """Nothing is open."""


class StandIn(Agent):
    """Takes the agent's seat. Its program is ``Steps``."""

    name = "stand-in"
    summary = "for tests"

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return AgentLaunch(command=("stand-in",))


def model_line(notes: Path) -> ModelLine:
    return ModelLine(used=USED, pins=ModelPins(models=(MODEL,)), source=Provider(notes))


@dataclass
class Steps:
    """What the stand-in does: all of it, in order, each time it is started."""

    submit_socket: Path
    model_socket: Path | None
    workspace: Path
    """Survives a kill, as a container's volumes do."""

    def run(self) -> None:
        self.curate = CURATE_MODULE.Harness(str(self.submit_socket))
        self.ask("what shall I do?")
        self.submit("bad-rows", [-1, 7], "no such row")
        self.submit("first", range(30), "the first rows")
        self.submit("same-again", [*reversed(range(30))], "the same rows")
        self.signal("residual", range(40))
        self.ask("and now?")
        self.submit("second", range(20, 60), "other rows")
        self.curate.post("/v1/done", {})

    def ask(self, question: str) -> None:
        """Ask the model once; an answer that was read is kept."""
        kept = self.workspace / f"{hashlib.sha256(question.encode()).hexdigest()[:8]}.json"
        if self.model_socket is None or kept.exists():
            return
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": question}]}).encode()
        connection = CURATE_MODULE._Connection(str(self.model_socket))
        connection.timeout = 60
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer: http.client.HTTPResponse = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        kept.write_bytes(text)

    def submit(self, key: str, rows: Sequence[int], note: str) -> None:
        data = self.workspace / f"{key}.txt"
        data.write_text("".join(f"{row}\n" for row in rows))
        policy = self.workspace / f"{key}.py"
        policy.write_text(f"# {note}\n")
        request = {
            "key": f"the-{key}",
            "data": self.curate.upload(data),
            "policy": [{"path": "policy.py", "blob": self.curate.upload(policy)}],
            "note": note,
        }
        reply = self.curate.submit(request, 60)
        if reply["outcome"] == "accepted":
            self._wait(f"/v1/attempts/{reply['attempt']}", ("scored", "failed"))

    def signal(self, name: str, rows: Sequence[int]) -> None:
        asked = self.workspace / "signal-rows.txt"
        asked.write_text("".join(f"{row}\n" for row in rows))
        view = self.curate.post("/v1/signals", {"name": name, "rows": self.curate.upload(asked)})
        self._wait(f"/v1/signals/{view['id']}", ("ready", "failed"))

    def _wait(self, path: str, states: Sequence[str]) -> None:
        view = self.curate.poll(path, 60, lambda seen: seen["state"] in states)
        assert view["state"] in states, view


@dataclass
class LocalBox:
    """An ``AgentBox`` whose program is a thread of this process: it dies with it."""

    sockets: SocketFolder
    workspace: Path
    gateway: bool
    container_id: str = "none"
    failure: str = ""
    _over: threading.Event = field(default_factory=threading.Event)
    _crashed: bool = False

    @contextmanager
    def open(self, on_output: Callable[[bytes], None]) -> Iterator[None]:
        self.workspace.mkdir(parents=True, exist_ok=True)
        thread = threading.Thread(target=self._run, args=(on_output,), daemon=True)
        thread.start()
        yield

    def _run(self, on_output: Callable[[bytes], None]) -> None:
        model = self.sockets.path / "llm.sock" if self.gateway else None
        try:
            Steps(self.sockets.path / "submit.sock", model, self.workspace).run()
        except Exception as error:  # told by its exit code, as a program's
            self._crashed = True
            on_output(f"{type(error).__name__}: {error}\n".encode())
        finally:
            self._over.set()

    def ended(self) -> bool:
        return self._over.is_set()

    def end(self) -> None:
        self._over.wait(5)

    def exit_status(self) -> ExitStatus:
        return ExitStatus(int(self._crashed), oom_killed=False)

    def new_oom_kills(self) -> int:
        return 0

    def keep_session_log(self, patterns: object, turn: int) -> None:
        """It writes none."""


def boxes(workspace: Path) -> Callable[..., LocalBox]:
    """What stands for the class ``AgentBox``."""

    def box(record: Any, assets: Any, launch: Any, image: Any, sockets: SocketFolder, *, gateway: bool) -> LocalBox:
        return LocalBox(sockets, workspace, gateway)

    return box
