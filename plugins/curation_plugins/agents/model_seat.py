"""What the agents that are driven by a model have in common: they need one, and they are told things by arguments."""

from __future__ import annotations

from typing import Final, TypeVar

from curation_plugins.agents.baseline import refuse_options
from curation_plugins.api import AgentOptions, AgentRequest, ModelChoice
from curation_plugins.errors import ConfigInvalid

WAIT_SECONDS: Final = 600
"""How long one command may run, or be silent, where an agent says nothing of its own: above ``curate wait``'s 500."""

_ARGUMENT_BYTES: Final = 100_000
"""Linux takes 128 KiB in one argument (MAX_ARG_STRLEN), a terminating zero included."""

OptionsT = TypeVar("OptionsT", bound=AgentOptions)


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


def options_of(request: AgentRequest, kind: type[OptionsT]) -> OptionsT:
    """The request's options as the agent's own class; its defaults where the request says nothing of them.

    Raises:
        ConfigInvalid: they are another agent's.
    """
    if isinstance(request.options, kind):
        return request.options
    if type(request.options) is AgentOptions:
        return kind()
    raise ConfigInvalid(
        f"options of the class {type(request.options).__name__} were given where {kind.__name__} is read",
        hint="Make them with the agent's options_class.",
    )


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
