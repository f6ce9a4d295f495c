"""What the agent's container of a run is: one place says it, for the run and for ``launch --dry-run``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

import curation_sandbox
from curation_plugins.api import AgentLaunch
from curation_plugins.errors import ConfigInvalid
from curation_sandbox.hardening import Bind, engine_json, read_only_binds
from curation_sandbox.spec import POOL, ContainerSpec, Limits, Mount

CURATE: Final = Path(curation_sandbox.__file__).parent / "incontainer" / "curate.py"
"""The command ``curate``: one file, mounted read-only."""
START: Final = CURATE.with_name("start.py")
"""Starts an agent's program that has a model or files: one file, mounted read-only."""
START_TARGET: Final = "/opt/curation/start.py"
FILES: Final = "/opt/curation/files"
RELAY_PORT: Final = 8123
"""Where the gateway answers inside the container, on the loopback interface."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders of the host that the container is shown."""

    pool: Path
    sockets: Path
    files: Path
    """What is copied into the agent's home."""
    workspace: Path
    home: Path


def container_spec(
    run_id: str,
    image: str,
    launch: AgentLaunch,
    limits: Limits,
    places: Places,
    *,
    gateway: bool,
    runtime: str | None,
) -> ContainerSpec:
    """Args:
        gateway: whether ``llm.sock`` is relayed to a port inside.

    Raises:
        ConfigInvalid: it would show what it must not, e.g. folders of this run that overlap a mount of the agent's.
    """
    started = gateway or bool(launch.files)  # by start.py, which a plain program does without
    try:
        return ContainerSpec(
            run_id=run_id,
            image=image,
            command=_command(launch, gateway=gateway) if started else launch.command,
            environment=launch.environment,
            limits=limits,
            mounts=(
                Mount(source=places.pool, target=POOL),
                Mount(source=CURATE, target="/usr/local/bin/curate"),
                *((Mount(source=START, target=START_TARGET),) if started else ()),
                *((Mount(source=places.files, target=FILES),) if launch.files else ()),
                *launch.mounts,
            ),
            sockets=places.sockets,
            workspace=places.workspace,
            home=places.home,
            interactive=launch.interactive,
            runtime=runtime,
        )
    except ValidationError as error:
        reasons = "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        raise ConfigInvalid(
            f"the agent's container cannot be made: {reasons}",
            hint="Name another --agent-dir, --run-dir or CURATION_CACHE, so that none lies inside another.",
        ) from None


def _command(launch: AgentLaunch, *, gateway: bool) -> tuple[str, ...]:
    files = ("--files", FILES) if launch.files else ()
    relay = ("--relay", str(RELAY_PORT)) if gateway else ()
    return ("/usr/bin/python3", "-I", START_TARGET, *files, *relay, "--", *launch.command)


def exposure(spec: ContainerSpec) -> dict[str, Any]:
    """Everything that the engine would be asked for, in its own words (the body of its create call), but the text of
    the system call filter and the labels."""
    binds = [Bind(source, target, writable=False) for source, target in read_only_binds(spec)]
    body = engine_json(spec, binds, {})
    del body["Labels"]
    options = body["HostConfig"]["SecurityOpt"]
    body["HostConfig"]["SecurityOpt"] = [option.partition("={")[0] for option in options]
    return body
