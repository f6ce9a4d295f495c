"""Claude Code, Anthropic's coding agent, without its terminal interface.

Written for version 2.1.329: flags from its ``--help``, variables from code.claude.com/docs/en/settings and from the
program itself; every one was tried against a scripted model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from curation_plugins.agents.model_seat import WAIT_SECONDS, argument, model_of
from curation_plugins.agents.options import options_of
from curation_plugins.agents.session_log import NAMES, entries, entry_of, event_type, first_line, word
from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest, ModelChoice
from curation_sandbox.gateway.wires import Wire

_NOT_HERE: Final = (
    # no network
    "WebSearch",
    "WebFetch",
    # they wake the conversation up later, and a turn that is over does not come back
    "CronCreate",
    "CronDelete",
    "CronList",
    "ScheduleWakeup",
    "Monitor",
)

# $1 session, $2 what begins a conversation, $3 what goes on with it; then the flags. A log without any message, as a
# turn that was killed at once leaves it, can neither be resumed nor be begun again under its id.
_PROCEED: Final = """\
session=$1 begin=$2 message=$3; shift 3
log=$HOME/.claude/projects/-workspace/$session.jsonl
if grep -qs '"type":"user"' "$log"; then exec claude "$@" --resume "$session" -p -- "$message"; fi
rm -f "$log"
exec claude "$@" --session-id "$session" -p -- "$begin"
"""

_SUBAGENTS: Final = ".claude/projects/*/*/subagents/*.jsonl"


class ClaudeCodeOptions(AgentOptions):
    """Options of ``--agent claude-code``."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How much the model thinks; left out, the program's own default. Not every model knows every level."""
    max_turns: int | None = Field(default=None, gt=0)
    """Model replies with tool calls after which a turn ends; left out, none."""
    max_output_tokens: int | None = Field(default=None, gt=0)
    """Asked for at most in one reply; left out, what the program knows of the model."""
    max_thinking_tokens: int | None = Field(default=None, ge=0)
    """Of these at most for thinking, where the model takes a number; 0: no thinking."""
    command_seconds: int = Field(default=WAIT_SECONDS, gt=0)
    """A shell command without a time limit of its own is ended after this long."""
    command_seconds_max: int = Field(default=7200, gt=0)
    """The longest time limit that the model can give a shell command."""


class ClaudeCodeAgent(Agent):
    name = "claude-code"
    summary = "Anthropic's Claude Code; needs --model"
    wires = (Wire.MESSAGES,)
    needs_model = True
    aliases = (("claude-*haiku*", "small"), ("claude-*", "main"))
    options_class = ClaudeCodeOptions
    session_files = (".claude/projects/*/*.jsonl", _SUBAGENTS)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        model = model_of(self.name, request)
        prompt = argument(self.name, request.prompt)
        session = ("--session-id", request.session)
        return _launch(request, model, ("claude", *_flags(request, model), *session, "-p", "--", prompt))

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch:
        """Resumes the conversation of this id; if it never began, it begins now."""
        model = model_of(self.name, request)
        begin = argument(self.name, f"{request.prompt}\n\n{message}")
        script = ("sh", "-c", _PROCEED, "sh", request.session, begin, argument(self.name, message))
        return _launch(request, model, (*script, *_flags(request, model)))

    def is_final(self, line: bytes) -> bool:
        return b'"result"' in line and event_type(line) == "result"

    def readable(self, line: bytes) -> str | None:
        """What it says, the tools it uses, and how each ended; the rest of its log is for programs."""
        entry = entry_of(line)
        if entry is None:
            return super().readable(line) or None
        message = entry.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        return "\n".join(filter(None, map(_shown, blocks))) or None

    def threads(self, folder: Path) -> Mapping[str, str]:
        """By the files of its sub-agents: ids of their replies and tool calls."""
        named: dict[str, str] = {}
        for _, rows in entries(folder, _SUBAGENTS):
            for row in rows:
                message, agent = row.get("message"), word(row.get("agentId"))
                if row.get("isSidechain") is not True or agent is None or not isinstance(message, dict):
                    continue
                kind = word(row.get("attributionAgent")) or "sub-agent"
                for found in _ids(message):
                    if len(named) >= NAMES:
                        return named
                    named[found] = f"{kind} {agent}"
        return named


def _shown(block: Mapping[str, object]) -> str:
    kind, given = block.get("type"), block.get("input")
    if kind == "text":
        return first_line(block.get("text"))
    if kind == "tool_use":
        values = list(given.values()) if isinstance(given, dict) else []
        return f"{word(block.get('name')) or 'tool'}: {first_line(values[0] if values else '')}"
    if kind == "tool_result":
        content = block.get("content")
        parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        return f"→ {first_line(parts[0].get('text') if parts else content)}"
    return ""


def _ids(message: Mapping[str, object]) -> list[str]:
    """The id of a model's reply, and those of the tool calls in it."""
    if message.get("role") != "assistant":
        return []
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    calls = [block.get("id") for block in blocks if isinstance(block, dict) and block.get("type") == "tool_use"]
    return [found for found in map(word, (message.get("id"), *calls)) if found is not None]


def _flags(request: AgentRequest, model: ModelChoice) -> tuple[str, ...]:
    options = options_of(request, ClaudeCodeOptions)
    flags: tuple[str, ...] = (
        *("--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"),
        *("--strict-mcp-config", "--disallowedTools", ",".join(_NOT_HERE)),
        *("--model", model.name),
    )
    if options.effort is not None:
        flags += ("--effort", options.effort)
    if options.max_turns is not None:
        flags += ("--max-turns", str(options.max_turns))
    return flags


def _launch(request: AgentRequest, model: ModelChoice, command: tuple[str, ...]) -> AgentLaunch:
    return AgentLaunch(command=command, image="claude-code", environment=_environment(request, model))


def _environment(request: AgentRequest, model: ModelChoice) -> dict[str, str]:
    options = options_of(request, ClaudeCodeOptions)
    environment = {
        "ANTHROPIC_BASE_URL": request.gateway,
        # any word will do; with this variable, unlike ANTHROPIC_API_KEY, it never asks whether to use it
        "ANTHROPIC_AUTH_TOKEN": "none",
        # what its sub-agents and side jobs call haiku, sonnet and so on
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model.small,
        "ANTHROPIC_DEFAULT_SONNET_MODEL": model.name,
        "ANTHROPIC_DEFAULT_OPUS_MODEL": model.name,
        "ANTHROPIC_DEFAULT_FABLE_MODEL": model.name,
        # telemetry, error reports, update checks, surveys
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        # beta fields of requests beyond the stable ones, which a gateway need not know
        "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS": "1",
        # they would end with the turn, whose end they do not delay
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
        # notes for later conversations: there is none
        "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
        # the gateway retries what is transient; ten tries of its own last over a minute
        "CLAUDE_CODE_MAX_RETRIES": "3",
        "API_TIMEOUT_MS": "3600000",
        "BASH_DEFAULT_TIMEOUT_MS": str(1000 * options.command_seconds),
        "BASH_MAX_TIMEOUT_MS": str(1000 * max(options.command_seconds, options.command_seconds_max)),
    }
    if options.max_output_tokens is not None:
        environment["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(options.max_output_tokens)
    if options.max_thinking_tokens is not None:
        environment["MAX_THINKING_TOKENS"] = str(options.max_thinking_tokens)
    return environment
