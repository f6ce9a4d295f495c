"""What the agents that are driven by a model have in common: they need one, and they are told things by arguments."""

from __future__ import annotations

from typing import Final

from curation_plugins.agents.options import refuse_options
from curation_plugins.api import AgentRequest, ModelChoice
from curation_plugins.errors import ConfigInvalid

WAIT_SECONDS: Final = 600
"""How long one command may run, or be silent, where an agent says nothing of its own: above ``curate wait``'s 500."""

_ARGUMENT_BYTES: Final = 100_000
"""Linux takes 128 KiB in one argument (MAX_ARG_STRLEN), a terminating zero included."""


def model_of(agent: str, request: AgentRequest) -> ModelChoice:
    """The run's model.

    Raises:
        ConfigInvalid: there is none, or an option was given that only ``--agent command`` reads.
    """
    refuse_options(agent, request)
    if request.model is None:
        raise ConfigInvalid(
            f"agent {agent!r} needs a model, and none was given",
            hint="Give one: --model PROVIDER/NAME, e.g. --model anthropic/claude-sonnet-4-5.",
        )
    return request.model


def argument(agent: str, text: str) -> str:
    """``text``, if it can be handed to a program as one argument.

    Raises:
        ConfigInvalid: it is too long, or holds a zero character.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > _ARGUMENT_BYTES or "\0" in text:
        raise ConfigInvalid(
            f"agent {agent!r} cannot be told {size} bytes of text, or a zero character, in one argument",
            hint=f"Shorten the task's brief: the whole prompt may have {_ARGUMENT_BYTES} bytes.",
        )
    return text
