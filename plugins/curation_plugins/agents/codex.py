"""Codex, OpenAI's coding agent, without its terminal interface.

Written for version 0.169.0: flags from ``codex exec --help``, the configuration file's keys from
developers.openai.com/codex/config-reference and checked with ``--strict-config``; every one was tried against a
scripted model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from curation_plugins.agents.model_seat import argument, model_of
from curation_plugins.agents.options import options_of
from curation_plugins.agents.session_log import NAMES, entries, entry_of, event_type, first_line, word
from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest, ModelChoice
from curation_sandbox.gateway.wires import Wire

_SESSIONS: Final = ".codex/sessions/*/*/*/rollout-*.jsonl"

_KEY: Final = "CURATION_GATEWAY_KEY"
"""Variable with the word that is sent as key; the gateway drops it."""

# $1 what begins a conversation, $2 what goes on with it; then the flags. Codex names its conversations itself; the
# last one of this folder is the only one that a person, not another agent, began.
_PROCEED: Final = """\
begin=$1 message=$2; shift 2
for log in "$HOME"/.codex/sessions/*/*/*/rollout-*.jsonl; do
  if [ -s "$log" ]; then exec codex exec resume --last "$@" -- "$message"; fi
done
exec codex exec "$@" -- "$begin"
"""

_CONFIG: Final = """\
model = {model}
model_provider = "curation"
web_search = "disabled"
check_for_update_on_startup = false
# A login shell would replace the image's PATH.
allow_login_shell = false
# Waiting for a command that still runs: up to an hour in one tool call.
background_terminal_max_timeout = 3600000
{options}
[analytics]
enabled = false

[feedback]
enabled = false

[history]
persistence = "none"

[features]
# They are of no use without the provider's own servers, or without network.
apps = false
plugins = false
remote_plugin = false
image_generation = false
# Else it waits for ever where the gateway is gone.
unbounded_connection_retries = false

[model_providers.curation]
name = "curation"
base_url = {base_url}
env_key = "{key}"
wire_api = "responses"
# The gateway retries what is transient, and waits for slow providers.
request_max_retries = 1
stream_max_retries = 2
stream_idle_timeout_ms = 3600000
"""


class CodexOptions(AgentOptions):
    """Options of ``--agent codex``."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    """How much the model thinks; left out, the program's or the provider's choice. Not every model has each level."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much it writes, for models in the program's catalogue; left out, what the catalogue says."""
    context_window: int | None = Field(default=None, gt=0)
    """Tokens the model can read, for models that the program does not know; left out, it takes a large model's."""
    subagents: bool = True
    """Whether it may start sub-agents."""


class CodexAgent(Agent):
    name = "codex"
    summary = "OpenAI's Codex; needs --model"
    wires = (Wire.RESPONSES,)
    needs_model = True
    aliases = (("gpt-*-mini*", "small"), ("gpt-*", "main"))
    options_class = CodexOptions
    session_files = (_SESSIONS,)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        model = model_of(self.name, request)
        prompt = argument(self.name, request.prompt)
        return _launch(request, model, ("codex", "exec", *_flags(model), "--", prompt))

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch:
        """Resumes the last conversation; if none began, one begins now."""
        model = model_of(self.name, request)
        begin = argument(self.name, f"{request.prompt}\n\n{message}")
        script = ("sh", "-c", _PROCEED, "sh", begin, argument(self.name, message))
        return _launch(request, model, (*script, *_flags(model)))

    def is_final(self, line: bytes) -> bool:
        return b'"turn.' in line and event_type(line) in ("turn.completed", "turn.failed")

    def readable(self, line: bytes) -> str | None:
        """What it says, the commands it runs, and how each ended; the rest of its log is for programs."""
        entry = entry_of(line)
        if entry is None:
            return super().readable(line) or None
        item = entry.get("item")
        if not isinstance(item, dict):
            return None
        kind, over = item.get("type"), entry.get("type") == "item.completed"
        if kind == "command_execution":
            printed, command = first_line(item.get("aggregated_output")), first_line(item.get("command"))
            return f"→ {printed}" if over else f"$ {command}"
        return (first_line(item.get("text")) or None) if over and kind == "agent_message" else None

    def threads(self, folder: Path) -> Mapping[str, str]:
        """By the logs that a sub-agent's session begins: ids of replies, items and tool calls."""
        named: dict[str, str] = {}
        for _, rows in entries(folder, _SESSIONS):
            agent: str | None = None
            for row in rows:
                payload = row.get("payload")
                if not isinstance(payload, dict):
                    continue
                if row.get("type") == "session_meta":
                    agent = _subagent(payload)
                if agent is None:
                    break  # a session's first row says whose it is
                for found in _ids(row.get("type"), payload):
                    if len(named) >= NAMES:
                        return named
                    named[found] = agent
        return named


def _subagent(meta: Mapping[str, object]) -> str | None:
    """A sub-agent's name; None for the main conversation."""
    if meta.get("thread_source") != "subagent":
        return None
    return word(meta.get("agent_nickname")) or word(meta.get("id")) or "sub-agent"


def _ids(kind: object, payload: Mapping[str, object]) -> list[str]:
    if kind == "token_usage_record":
        found: tuple[object, ...] = (payload.get("response_id"),)
    elif kind == "response_item" and "output" not in payload and payload.get("role") not in ("user", "developer"):
        found = (payload.get("id"), payload.get("call_id"))
    else:
        found = ()
    return [each for each in map(word, found) if each is not None]


def _flags(model: ModelChoice) -> tuple[str, ...]:
    return (
        *("--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        *("--model", model.name),
    )


def _launch(request: AgentRequest, model: ModelChoice, command: tuple[str, ...]) -> AgentLaunch:
    return AgentLaunch(
        command=command,
        image="codex",
        environment={_KEY: "none"},
        files={".codex/config.toml": _config(request, model)},
    )


def _config(request: AgentRequest, model: ModelChoice) -> str:
    options = options_of(request, CodexOptions)
    settings = {
        "model_reasoning_effort": options.reasoning_effort,
        "model_verbosity": options.verbosity,
        "model_context_window": options.context_window,
    }
    lines = [f"{name} = {_toml(value)}\n" for name, value in settings.items() if value is not None]
    if not options.subagents:
        lines.append("agents.enabled = false\n")
    return _CONFIG.format(
        model=_toml(model.name),
        options="".join(lines),
        base_url=_toml(f"{request.gateway}/v1"),
        key=_KEY,
    )


def _toml(value: str | int) -> str:
    """A number, or a basic string: TOML 1.0 and JSON escape these alike, but for DEL."""
    return json.dumps(value).replace("\x7f", "\\u007f")
