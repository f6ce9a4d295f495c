"""One turn of an OpenHands conversation: ``run.py TURN.json``.

Written for ``openhands-sdk`` and ``openhands-tools`` 1.58 and Python 3.12 or later. The turn's file says which
model to use, how, and what to tell it; a conversation of the same id that is already in HOME is gone on with.
Standard output is JSON, one object a line: ``{"type": "event", …}`` for what happens, and at last
``{"type": "end", "status": …}``. Everything else that the libraries print goes to standard error. The whole of each
event is in ``~/.openhands/conversations``.

Exit status: 0 after the agent said it is done, 1 after anything else.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

CONVERSATIONS: Final = Path.home() / ".openhands" / "conversations"

QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else litellm asks a web page for prices while it is imported
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",  # reads no .env of the workspace
    "OPENHANDS_SUPPRESS_BANNER": "1",
    "LOG_LEVEL": "WARNING",
}
"""Set before the libraries are imported, if the environment says nothing else."""

INTERRUPTED: Final = "It was interrupted: the container was stopped while it ran. What it did until then stands."

TEXT_MAX: Final = 4000
"""Characters of a text in a printed event."""

Say = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> int:
    say = stdout_for_json_only()
    warnings.filterwarnings("ignore", category=UserWarning)  # "this model isn't mapped yet", once a reply
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    try:
        turn = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        status, message = converse(turn, say)
    except Exception as error:  # whatever it was, the reader of the lines is told, and the trace is in the log
        traceback.print_exc()
        status, message = "error", f"{type(error).__name__}: {error}"
    say({"type": "end", "status": status, "message": message[:TEXT_MAX]})
    return 0 if status == "finished" else 1


def stdout_for_json_only() -> Say:
    """A printer of lines on standard output; what anything else prints there goes to standard error."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)

    def say(entry: dict[str, Any]) -> None:
        lines.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
        lines.flush()

    return say


def converse(turn: dict[str, Any], say: Say) -> tuple[str, str]:
    """(how the turn ended, why): ``finished``, or ``error``, ``stuck``, ``paused`` …"""
    from openhands.sdk import Conversation
    from openhands.sdk.conversation.exceptions import ConversationRunError

    reasons: list[str] = []

    def on_event(event: Any) -> None:
        said = shown(event)
        if said["kind"] == "ConversationErrorEvent":
            reasons.append(str(said.get("text", "")))
        say(said)

    conversation = Conversation(
        agent=agent(turn),
        workspace=turn["workspace"],
        persistence_dir=CONVERSATIONS,
        conversation_id=uuid.UUID(turn["session"]),
        callbacks=[on_event],
        max_iteration_per_run=turn["max_iterations"],
        visualizer=None,
        delete_on_close=False,
    )
    try:
        begun = any(event.source == "user" for event in conversation.state.events)
        if begun:
            mend(conversation)
        said = [turn["message"]] if begun else [turn["prompt"], turn["message"]]
        conversation.send_message("\n\n".join(part for part in said if part))
        conversation.run()
    except ConversationRunError as error:
        return "error", reasons[-1] if reasons else str(error)
    finally:
        conversation.close()
    return conversation.state.execution_status.value, reasons[-1] if reasons else ""


def mend(conversation: Any) -> None:
    """After a turn that was cut off: its last step is in the log, but the saved state does not point at it yet, and
    its command got no answer. Without this the agent would know nothing of a command that it ran."""
    from openhands.sdk.event import ConversationStateUpdateEvent

    steps = [event.id for event in conversation.state.events if not isinstance(event, ConversationStateUpdateEvent)]
    conversation.navigate_to(steps[-1])
    if conversation.state.get_unmatched_actions(conversation.state.active_branch()):
        conversation.reject_pending_actions(INTERRUPTED)
        # what is sent was put together while the command had no answer, and left it out
        conversation.navigate_to(conversation.state.leaf_event_id)


def agent(turn: dict[str, Any]) -> Any:
    """The SDK's stock agent without a browser: terminal, file editor, task tracker, and a condenser for long runs."""
    from openhands.sdk import Agent, AgentContext
    from openhands.sdk.context.condenser import default_condenser
    from openhands.sdk.tool import Tool
    from openhands.tools.file_editor import FileEditorTool
    from openhands.tools.task_tracker import TaskTrackerTool
    from openhands.tools.terminal import TerminalTool

    wait = turn["terminal_seconds"]
    terminal = {"no_change_timeout_seconds": wait, "terminal_type": "subprocess"}
    return Agent(
        llm=model(turn, turn["model"], "agent"),
        tools=[
            Tool(name=TerminalTool.name, params=terminal),
            Tool(name=FileEditorTool.name),
            Tool(name=TaskTrackerTool.name),
        ],
        condenser=default_condenser(model(turn, turn["small"], "condenser")),
        agent_context=AgentContext(
            system_message_suffix=f"The terminal tool waits {wait} seconds for new output, not 30, before it returns"
            " while a command still runs.",
            load_user_skills=False,
            load_public_skills=False,
        ),
        system_prompt_kwargs={"cli_mode": True},
    )


def model(turn: dict[str, Any], name: str, usage: str) -> Any:
    """The gateway retries what is transient and waits for slow providers; here little is tried again."""
    from openhands.sdk import LLM

    return LLM(
        model=name,
        usage_id=usage,
        base_url=turn["base_url"],
        api_key="none",
        api_mode="chat",
        num_retries=3,
        retry_min_wait=1,
        retry_max_wait=8,
        timeout=3600,
        **turn["settings"],
    )


def shown(event: Any) -> dict[str, Any]:
    """An event as one printed object, its texts cut to a readable length."""
    entry: dict[str, Any] = {"type": "event", "kind": type(event).__name__, "id": event.id, "source": event.source}
    for name in ("tool_name", "tool_call_id", "llm_response_id", "code"):
        value = getattr(event, name, None)
        if value is not None:
            entry[name] = str(value)
    text = text_of(event)
    if text:
        entry["text"] = text[:TEXT_MAX]
    return entry


def text_of(event: Any) -> str:
    """What a reader would want to see of an event."""
    action, observation = getattr(event, "action", None), getattr(event, "observation", None)
    message = getattr(event, "llm_message", None)
    if action is not None:
        return str(json.dumps(action.model_dump(mode="json", exclude_none=True), ensure_ascii=False))
    if observation is not None:
        return "\n".join(part.text for part in observation.to_llm_content if hasattr(part, "text"))
    if message is not None:
        return "\n".join(part.text for part in message.content if hasattr(part, "text"))
    return str(getattr(event, "error", None) or getattr(event, "detail", None) or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
