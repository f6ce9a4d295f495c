"""What the tests with real programs share: the three programs, and runs of them against a scripted model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_command import Harness
from scripted_model import KEY, Asked, ScriptedModel
from scripted_moves import Move, Run, Script

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog


@dataclass(frozen=True)
class Program:
    """One of the real programs, and a model for it."""

    agent: str
    model: str
    key: str
    """The variable of the host that holds the provider's key."""
    path: str
    """Where its model requests go."""
    web_search: str
    """A server tool of the provider that looks things up in the web, as JSON."""

    def __str__(self) -> str:
        return self.agent


CLAUDE_CODE: Final = Program(
    agent="claude-code",
    model="anthropic/claude-sonnet-4-5",
    key="ANTHROPIC_API_KEY",
    path="/v1/messages",
    web_search='{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}',
)
CODEX: Final = Program(
    agent="codex",
    model="openai/gpt-5",
    key="OPENAI_API_KEY",
    path="/v1/responses",
    web_search='{"type": "web_search"}',
)
OPENHANDS: Final = Program(
    agent="openhands",
    model="openai-compatible/scripted",
    key="OPENAI_COMPATIBLE_API_KEY",
    path="/v1/chat/completions",
    web_search='{"type": "web_search"}',
)
PROGRAMS: Final = (CLAUDE_CODE, CODEX, OPENHANDS)


class AgentRun:
    """One run of a program under the command ``harness``."""

    def __init__(self, program: Program, model: ScriptedModel, folder: Path, cache: Path) -> None:
        self.program = program
        self.model = model
        self.harness = Harness(folder, cache)
        self.harness.environment[program.key] = KEY

    @property
    def folder(self) -> Path:
        return self.harness.runs / "r"

    def options(self, *more: str, task: str = "probe") -> list[str]:
        """Launch options; one headline seed, so that the test does not pay for it three times."""
        chosen = ["--agent", self.program.agent, "--model", self.program.model, "--base-url", self.model.base_url]
        if self.program is OPENHANDS:
            chosen += ["--price", "scripted=3/15"]
        return ["launch", "--task", task, "--run-id", "r", "--set", "headline.seeds=1", *chosen, *more]

    def launch(self, *more: str, task: str = "probe", timeout: float = 240) -> None:
        done = self.harness.run(*self.options(*more, task=task), timeout=timeout)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:] + self.log[-4000:]

    @property
    def log(self) -> str:
        """What the program printed."""
        path = self.folder / "agent.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def exchanges(self) -> tuple[ExchangeEntry, ...]:
        return ExchangeLog(self.folder).entries()

    def body(self, digest: str) -> bytes:
        return ExchangeLog(self.folder).body(digest)

    def kinds(self, *kinds: str) -> list[str]:
        return [event.kind for event in self.harness.record().events.of(*kinds)]

    def scores(self) -> list[float]:
        """Public scores of the attempts."""
        return [attempt.public.mean for attempt in self.harness.summary().attempts if attempt.public]

    def places_of(self, text: str) -> list[Path]:
        """Files of the record that hold a text; bodies of the model's traffic are read unpacked."""
        digests = {entry.request for entry in self.exchanges()} | {entry.response for entry in self.exchanges()}
        found = [self.folder / "model" / digest for digest in sorted(digests) if text.encode() in self.body(digest)]
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return found + [path for path in files if text.encode() in path.read_bytes()]

    def asked(self, text: str) -> list[Asked]:
        """The model's turns whose request holds a text."""
        return [asked for asked in self.model.turns if text in asked.raw.decode()]


@contextmanager
def agent_run(program: Program, moves: Sequence[Move] | Script, folder: Path, cache: Path) -> Iterator[AgentRun]:
    """A scripted model that is up, and a run that is not yet launched."""
    with ScriptedModel(moves) as model:
        yield AgentRun(program, model, folder, cache)


def submit(n: int, rows: Sequence[int], *, wait: int = 100, seconds: float | None = None) -> Run:
    """Write a policy and what it chooses, submit that as attempt ``n`` and wait for its score."""
    chosen = " ".join(map(str, rows))
    return Run(
        f"mkdir -p policy && echo 'print(*{list(rows)!r}[:])' > policy/policy.py"
        f" && printf '%s\\n' {chosen} > rows.txt"
        f" && curate submit rows.txt --policy policy --note 'attempt {n}' && curate wait {n} --timeout {wait}",
        seconds=seconds,
    )
