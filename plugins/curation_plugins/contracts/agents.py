"""The contract of an agent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest, ModelChoice, Task
from curation_plugins.contracts.require import require, require_name, require_summary
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.gateway.wires import Wire

_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")

_GATEWAY: Final = "http://127.0.0.1:18123"
_PROMPT: Final = '- Look at the pool.\n--help "it\'s" $HOME `date` {braces} ünï 🙂\n'
_MESSAGE: Final = '- You have 1 iteration left; go on. $HOME "it\'s"\n'
_SESSION: Final = "5c1a7a26-58a3-4d0c-9a53-0d0c5e1f4b7d"
_MODEL: Final = "some/model-1.5:free"

_LINES: Final = (
    b"",
    b"\0\xff\xfe\x80",
    b"null",
    b"[]",
    b'"result"',
    b"{",
    b'{"type": 5}',
    b'{"type": {"type": "result"}}',
    b'{"type": "\xff"}',
    b'{"type": ' + 5000 * b"9" + b"}",
    200_000 * b"[",
    200_000 * b'{"type":',
    b'{"type": "result", "end": "' + 20_000_000 * b"x",
)
"""What a container may print."""


def check_agent(
    agent: Agent, task: Task, assets: Path, *, agent_dir: Path | None = None, agent_arg: str | None = None
) -> None:
    """Check how an agent wants to be started, and continued, on ``task``; nothing is started.

    An agent that needs options gets them by ``agent_dir`` and ``agent_arg``; without them it must say so. One
    that needs a model gets one, and must say so where it gets none.
    """
    require_name("agent", agent.name)
    require_summary("agent", agent.name, agent.summary)
    _check_class(agent)
    request = AgentRequest(
        task=task,
        assets=assets,
        seed=0,
        iterations=2,
        agent_dir=agent_dir,
        agent_arg=agent_arg,
        prompt=_PROMPT,
        session=_SESSION,
        gateway=_GATEWAY,
        options=agent.options_class(),
    )
    if agent.needs_model:
        _check_wants_model(agent, request)
        request = replace(request, model=_model(agent))
    try:
        launch = agent.launch(request)
    except ConfigInvalid as error:
        require(
            agent_arg is None and agent_dir is None and error.hint,
            f"agent {agent.name}: launch refuses its options and does not say what would be right: {error}",
        )
        return
    _check_launch(agent, launch, assets)
    require(agent.launch(request) == launch, f"agent {agent.name}: two launches for one request differ")
    further = agent.proceed(request, _MESSAGE)
    if further is not None:
        _check_launch(agent, further, assets)
        require(agent.proceed(request, _MESSAGE) == further, f"agent {agent.name}: two equal continuations differ")
        require(further.image == launch.image, f"agent {agent.name}: it is continued in another image")
        require(_tells(further, _MESSAGE), f"agent {agent.name}: proceed does not hand over its message")
    if agent.needs_model:
        _check_told(agent, request, launch)
    _check_reading(agent)


def _check_class(agent: Agent) -> None:
    name = agent.name
    require(all(isinstance(wire, Wire) for wire in agent.wires), f"agent {name}: wires are {agent.wires!r}")
    require(agent.wires or not agent.needs_model, f"agent {name}: it needs a model and speaks no wire format")
    require(
        all(isinstance(pattern, str) and which in ("main", "small") for pattern, which in agent.aliases),
        f"agent {name}: aliases are pairs of a shell pattern and main or small",
    )
    require(issubclass(agent.options_class, AgentOptions), f"agent {name}: options_class is no AgentOptions")
    for pattern in agent.session_files:
        _require_in_home(name, pattern, "session_files")


def _check_wants_model(agent: Agent, request: AgentRequest) -> None:
    try:
        agent.launch(request)
    except ConfigInvalid as error:
        require("--model" in (error.hint or ""), f"agent {agent.name}: without a model it does not name --model")
        return
    raise AssertionError(f"agent {agent.name}: it needs a model, and starts without one")


def _model(agent: Agent) -> ModelChoice:
    return ModelChoice(name=_MODEL, provider="some", wire=agent.wires[0], small=_MODEL)


def _check_launch(agent: Agent, launch: AgentLaunch, assets: Path) -> None:
    require(launch.command, f"agent {agent.name}: launch names no command")
    for mount in launch.mounts:
        require(mount.source.exists(), f"agent {agent.name}: {mount.source}, which it mounts, is not there")
        readable = mount.source.stat().st_mode & 0o004
        require(readable, f"agent {agent.name}: {mount.source} cannot be read by the container's user")
        require(
            not assets.is_relative_to(mount.source) and not mount.source.is_relative_to(assets),
            f"agent {agent.name}: it mounts the task's files, where answers and sealed items are",
        )
    for file in launch.files:
        _require_in_home(agent.name, file, "files")
    _check_secrets(agent, launch)


def _require_in_home(agent: str, path: str, where: str) -> None:
    parts = PurePosixPath(path).parts
    require(
        parts and not path.startswith("/") and ".." not in parts and str(PurePosixPath(path)) == path,
        f"agent {agent}: {path!r} in {where} is no path below HOME, relative to it",
    )


def _check_secrets(agent: Agent, launch: AgentLaunch) -> None:
    secrets = {
        value: name
        for name, value in os.environ.items()
        if len(value) >= 8 and any(word in name.upper() for word in _SECRET)
    }
    for name, value in launch.environment.items():
        require(
            value not in secrets,
            f"agent {agent.name}: {name} in its environment is the host's {secrets.get(value)};"
            " no key enters a container",
        )
    for place, text in (*launch.files.items(), ("command", "\0".join(launch.command))):
        found = next((name for value, name in secrets.items() if value in text), None)
        require(found is None, f"agent {agent.name}: {place} holds the host's {found}; no key enters a container")


def _check_told(agent: Agent, request: AgentRequest, launch: AgentLaunch) -> None:
    """What a program with a model must know: what to do, and which model is where."""
    for what, text in (("prompt", request.prompt), ("gateway", request.gateway), ("model's name", _MODEL)):
        require(_tells(launch, text), f"agent {agent.name}: launch does not hand over the {what}")


def _tells(launch: AgentLaunch, text: str) -> bool:
    """Whether a text reaches the container: as an argument or a variable, or in a file, escaped or not."""
    places = (*launch.command, *launch.environment.values(), *launch.files.values())
    return any(form in place for place in places for form in _forms(text))


def _forms(text: str) -> tuple[str, str]:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text, escaped


def _check_reading(agent: Agent) -> None:
    """What it reads of the container's output and logs may be anything, and must not stop the host."""
    for line in _LINES:
        try:
            final = agent.is_final(line)
        except Exception as error:
            raise AssertionError(f"agent {agent.name}: is_final raises {error!r} for {line[:40]!r}") from error
        require(final in (True, False), f"agent {agent.name}: is_final says {final!r} of {line[:40]!r}")
        try:
            shown = agent.readable(line)
        except Exception as error:
            raise AssertionError(f"agent {agent.name}: readable raises {error!r} for {line[:40]!r}") from error
        require(shown is None or isinstance(shown, str), f"agent {agent.name}: readable gives {shown!r}")
    with tempfile.TemporaryDirectory() as folder:
        for number, what in enumerate(_fill(Path(folder), agent.session_files)):
            try:
                threads = agent.threads(Path(folder))
            except Exception as error:
                raise AssertionError(f"agent {agent.name}: threads raises {error!r} for {what}") from error
            _require_names(agent, threads, f"{what} ({number})")


def _require_names(agent: Agent, threads: Mapping[str, str], what: str) -> None:
    require(
        all(isinstance(word, str) for pair in threads.items() for word in pair),
        f"agent {agent.name}: threads names what is no text, for {what}",
    )


def _fill(folder: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    """Puts something hostile where each session file would be, one kind after the other, and says which."""
    yield "an empty folder"
    places = [folder / pattern.replace("*", "x") for pattern in patterns]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
    for line in _LINES:
        for place in places:
            place.write_bytes(line + b"\n" + line)
        yield f"lines {line[:40]!r}"
    for what in ("a folder", "a pipe", "a link to itself", "a link to a device"):
        for place in places:
            if place.is_symlink() or place.exists():
                place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
            if what == "a folder":
                place.mkdir()
            elif what == "a pipe":
                os.mkfifo(place)
            else:
                place.symlink_to(place if what == "a link to itself" else "/dev/zero")
        yield what
