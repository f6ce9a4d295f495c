"""Any program of the user's own, run inside the container."""

from __future__ import annotations

import difflib
import os
import shlex
from pathlib import Path
from typing import Final

from curation_plugins.agents.options import shown_folder
from curation_plugins.api import Agent, AgentLaunch, AgentRequest
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.spec import Mount

TARGET: Final = "/agent"
"""Where ``--agent-dir`` is mounted, read-only."""

EXAMPLE: Final = 'harness launch --agent command --agent-dir ./my-agent --agent-arg "python3 my.py"'

_SCRIPTS: Final = (".py", ".sh")


class CommandAgent(Agent):
    name = "command"
    summary = "a program of yours: --agent-dir DIR (mounted at /agent) and --agent-arg COMMAND"
    wires = (Wire.CHAT, Wire.RESPONSES, Wire.MESSAGES)

    def launch(self, request: AgentRequest) -> AgentLaunch:
        """Start ``--agent-arg`` in ``/workspace``; names of files in ``--agent-dir`` mean those.

        The command is split into words as a shell does it, but no shell runs it: for pipes and
        variables say ``bash -c '…'``.

        Raises:
            ConfigInvalid: no command, or the folder or a file of it is not there or cannot be read.
        """
        words = _words(request.agent_arg)
        environment: dict[str, str] = {}
        mounts: tuple[Mount, ...] = ()
        if request.agent_dir is not None:
            mount = shown_folder("--agent-dir", request.agent_dir, TARGET, _example())
            folder = mount.source
            words = [_inside(word, folder) for word in words]
            environment = {"PYTHONPATH": TARGET}
            mounts = (mount,)
        _check_first(words[0], request.agent_dir)
        return AgentLaunch(
            command=tuple(words),
            image=request.task.config.image,
            environment=environment,
            mounts=mounts,
        )


def _words(argument: str | None) -> list[str]:
    try:
        words = shlex.split(argument or "")
    except ValueError as error:
        raise ConfigInvalid(
            f"--agent-arg {argument!r} cannot be split into words: {error}", hint=_example()
        ) from None
    if not words:
        raise ConfigInvalid("agent 'command' was given no command to run", hint=_example())
    return words


def _example() -> str:
    return f"Say what to run, for example: {EXAMPLE}"


def _inside(word: str, folder: Path) -> str:
    """The path in the container of a word that names a file of the folder; any other word itself.

    Only a word with a slash or a dot in it is taken for a file name: ``python3`` and ``train`` are
    not, even if the folder holds something of that name.

    Raises:
        ConfigInvalid: it looks like a script's name, and the folder has no such file.
    """
    path = Path(os.path.normpath(word))
    if word.startswith(("-", "/")) or not {"/", "."} & set(word) or path.parts[:1] in ((), ("..",)):
        return word
    if (folder / path).exists():
        return f"{TARGET}/{path.as_posix()}"
    if path.suffix in _SCRIPTS:
        there = sorted(entry.name for entry in folder.iterdir())
        near = difflib.get_close_matches(path.name, there, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigInvalid(f"--agent-dir {folder} has no file {word!r}{meant}", hint=_example())
    return word


def _check_first(word: str, folder: Path | None) -> None:
    """The first word is run: a file of the user's must say how."""
    if folder is None or not word.startswith(f"{TARGET}/"):
        return
    path = folder / word.removeprefix(f"{TARGET}/")
    if path.is_dir() or not path.stat().st_mode & 0o001:
        raise ConfigInvalid(
            f"{path} cannot be executed by the agent's user",
            hint=f"Either chmod a+rx {shlex.quote(str(path))}, or name its interpreter: "
            f'--agent-arg "bash {path.name}"',
        )
