"""The options an agent is given, and those it does not take."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from curation_plugins.api import AgentOptions, AgentRequest
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import Mount

OptionsT = TypeVar("OptionsT", bound=AgentOptions)


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


def refuse_options(agent: str, request: AgentRequest) -> None:
    """Options that an agent does not read are a mistake of whoever gave them.

    Raises:
        ConfigInvalid: ``--agent-dir`` or ``--agent-arg`` was given.
    """
    given = [
        option
        for option, value in (
            ("--agent-dir", request.agent_dir),
            ("--agent-arg", request.agent_arg),
        )
        if value is not None
    ]
    if given:
        raise ConfigInvalid(
            f"agent {agent!r} takes no {' and no '.join(given)}",
            hint="Leave it out, or use --agent command to run a program of your own.",
        )


def shown_folder(option: str, path: Path, target: str, hint: str) -> Mount:
    """A folder of the user's as the agent's container sees it.

    Raises:
        ConfigInvalid: it is none, the agent's user cannot read it, or it must not be shown.
    """
    folder = path.expanduser().resolve()
    if not folder.is_dir():
        raise ConfigInvalid(f"{option} {path} is not a folder", hint=hint)
    if folder.stat().st_mode & 0o005 != 0o005:
        raise ConfigInvalid(
            f"{option} {path} is closed to other users, and the agent runs as one",
            hint=f"Open it for reading: chmod -R o+rX {shlex.quote(str(path))}",
        )
    try:
        return Mount(source=folder, target=target)
    except ValidationError as error:
        raise ConfigInvalid(
            f"{option} {folder}: {error.errors()[0]['msg']}",
            hint="Give a folder that holds what the agent needs and nothing else.",
        ) from None
