"""OpenHands, through its Software Agent SDK: ``programs/openhands/run.py`` drives it in the container.

Written for ``openhands-sdk`` and ``openhands-tools`` 1.58 (docs.openhands.dev/sdk).
"""

from __future__ import annotations

import json
from typing import Final, Literal

from pydantic import Field, JsonValue

from curation_plugins.agents.model_seat import WAIT_SECONDS, model_of
from curation_plugins.agents.options import options_of
from curation_plugins.agents.programs import FOLDER
from curation_plugins.agents.session_log import entry_of, event_type, first_line, word
from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.spec import HOME, WORKSPACE, Mount

_PYTHON: Final = "/opt/openhands/bin/python"
_TARGET: Final = "/opt/curation/openhands"
_TURN: Final = ".curation/turn.json"


class OpenHandsOptions(AgentOptions):
    """Options of ``--agent openhands``."""

    max_iterations: int = Field(default=500, gt=0)
    """Model replies after which a turn ends."""
    reasoning_effort: Literal["none", "low", "medium", "high", "xhigh"] | None = None
    """How much the model thinks; left out, nothing is asked. Not every model knows every level."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; left out, the provider's."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling; left out, the provider's."""
    max_output_tokens: int | None = Field(default=None, gt=0)
    """Asked for at most in one reply; left out, what the SDK knows of the model, or the provider's."""
    max_input_tokens: int | None = Field(default=None, gt=0)
    """Tokens the model can read, for models that the SDK does not know: above it the history is summarised."""
    native_tool_calling: bool = True
    """Off for models whose server knows no tools: they are then described in the prompt and read from the text."""
    terminal_seconds: int = Field(default=WAIT_SECONDS, gt=0)
    """A command that is silent for this long is reported as still running; the agent decides what then."""


class OpenHandsAgent(Agent):
    name = "openhands"
    summary = "OpenHands, with any model that speaks chat completions; needs --model"
    wires = (Wire.CHAT, Wire.MESSAGES)
    needs_model = True
    options_class = OpenHandsOptions
    session_files = (".openhands/conversations/*/events/event-*.json",)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        return self._turn(request, None)

    def proceed(self, request: AgentRequest, message: str) -> AgentLaunch:
        """The runner goes on with the conversation of this id; if it never began, it begins now."""
        return self._turn(request, message)

    def is_final(self, line: bytes) -> bool:
        return b'"end"' in line and event_type(line) == "end"

    def readable(self, line: bytes) -> str | None:
        """What it says, the tools it uses, and how each ended; the rest of its log is for programs."""
        entry = entry_of(line)
        if entry is None:
            return super().readable(line) or None
        text, tool = first_line(entry.get("text")), word(entry.get("tool_name"))
        if entry.get("source") == "user" or not text:
            return None
        if tool is None:
            return text
        return f"→ {text}" if entry.get("source") == "environment" else f"{tool}: {text}"

    def _turn(self, request: AgentRequest, message: str | None) -> AgentLaunch:
        return AgentLaunch(
            # -I: neither the workspace nor a variable puts modules before the image's own; -B: the mount is read-only
            command=(_PYTHON, "-I", "-B", f"{_TARGET}/run.py", f"{HOME}/{_TURN}"),
            image="openhands",
            # litellm and the SDK ask no web page and print no banner
            environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENHANDS_SUPPRESS_BANNER": "1"},
            files={_TURN: json.dumps(self._turn_file(request, message), ensure_ascii=False, indent=1)},
            mounts=(Mount(source=FOLDER / "openhands", target=_TARGET),),
        )

    def _turn_file(self, request: AgentRequest, message: str | None) -> dict[str, JsonValue]:
        """What ``run.py`` is told."""
        model = model_of(self.name, request)
        options = options_of(request, OpenHandsOptions)
        # litellm's names: the part before the first slash is the wire format, the rest the model as it is asked for
        prefix, base = (
            ("anthropic", request.gateway) if model.wire is Wire.MESSAGES else ("openai", f"{request.gateway}/v1")
        )
        return {
            "session": request.session,
            "prompt": request.prompt,
            "message": message,
            "workspace": WORKSPACE,
            "model": f"{prefix}/{model.name}",
            "small": f"{prefix}/{model.small}",
            "base_url": base,
            "max_iterations": options.max_iterations,
            "terminal_seconds": options.terminal_seconds,
            "settings": _settings(options),
        }


def _settings(options: OpenHandsOptions) -> dict[str, JsonValue]:
    """Arguments of the SDK's ``LLM``. What was asked for is sent, whatever the SDK thinks of the model."""
    settings: dict[str, JsonValue] = options.model_dump(mode="json", exclude={"max_iterations", "terminal_seconds"})
    can: dict[str, JsonValue] = {}
    if options.temperature is not None or options.top_p is not None:
        can["supports_sampling_params"] = True
    if options.reasoning_effort is not None:
        can["supports_reasoning_effort"] = True
    return {**settings, "capability_overrides": can}
