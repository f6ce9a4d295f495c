"""The Docker engine: the one module that imports the docker SDK, and where its errors become ours.

Everything here is thin: requests in the engine's own JSON, so that the hardened set in ``container.py`` is
written once, in full, and not through an SDK's defaults.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Self, cast

import docker
import docker.errors
import docker.utils
import requests.exceptions
import urllib3.exceptions

from curation_sandbox.errors import (
    ContainerFailed,
    ContainerGone,
    CurationError,
    DiskFull,
    EngineTooOld,
    EngineUnavailable,
    ImageMissing,
)

LABEL: Final = "io.curation-harness"
"""Prefix of every label we write; containers, volumes and images of ours carry ``<LABEL>.version``."""

MINIMUM_VERSION: Final = (20, 10)
"""First engine that knows everything the sandbox asks for (API 1.41)."""
MINIMUM_API: Final = "1.41"

START_HINT: Final = (
    "Run `make engine` (as root it installs and starts Docker), or start it: sudo systemctl start"
    " docker. `harness doctor` says more."
)

_LIMITS: Final = {"memory": "MemoryLimit", "swap": "SwapLimit", "cpus": "CpuCfsQuota", "pids": "PidsLimit"}

_CONNECTION_ERRORS: Final = (
    requests.exceptions.RequestException,  # a reply that breaks off is no ConnectionError
    urllib3.exceptions.HTTPError,
    ConnectionError,
)


@dataclass(frozen=True)
class EngineInfo:
    """What the engine says of itself and its machine."""

    version: str
    api_version: str
    cgroup_version: str
    cgroup_driver: str
    storage_driver: str
    root_dir: str
    cpus: int
    memory: int
    """Bytes."""
    security: tuple[str, ...]
    runtimes: tuple[str, ...]
    unenforced: tuple[str, ...]
    """Limits that the engine cannot enforce on this machine: memory, swap, cpus, pids."""


class Engine:
    """A connection to a Docker engine. Make it with ``connect``."""

    def __init__(self, api: docker.APIClient, host: str) -> None:
        self._api: Any = api  # the SDK's types cover only part of it
        self.host = host
        """Address, e.g. ``unix:///var/run/docker.sock``."""

    def close(self) -> None:
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def info(self) -> EngineInfo:
        with translated("ask the engine about itself"):
            info = self._api.info()
            version = self._api.version()
        return EngineInfo(
            version=version["Version"],
            api_version=version["ApiVersion"],
            cgroup_version=str(info.get("CgroupVersion", "1")),
            cgroup_driver=info.get("CgroupDriver", ""),
            storage_driver=info.get("Driver", ""),
            root_dir=info.get("DockerRootDir", ""),
            cpus=int(info.get("NCPU", 0)),
            memory=int(info.get("MemTotal", 0)),
            security=tuple(info.get("SecurityOptions") or ()),
            runtimes=tuple(info.get("Runtimes") or ()),
            unenforced=tuple(limit for limit, key in _LIMITS.items() if not info.get(key)),
        )

    # Containers

    def create(self, config: Mapping[str, Any], name: str) -> str:
        """Create a container from the engine API's own JSON; returns its id."""
        with translated(f"create container {name}"):
            return cast(str, self._api.create_container_from_config(dict(config), name)["Id"])

    def start(self, container: str) -> None:
        with translated(f"start container {container[:12]}"):
            self._api.start(container)

    def inspect(self, container: str) -> dict[str, Any]:
        with translated(f"inspect container {container[:12]}"):
            return cast(dict[str, Any], self._api.inspect_container(container))

    def attach(self, container: str) -> Iterator[bytes]:
        """Attach to stdout and stderr, together. Before ``start``, so that nothing is missed."""
        with translated(f"attach to container {container[:12]}"):
            stream = self._api.attach(container, stdout=True, stderr=True, stream=True, logs=False)
        return cast(Iterator[bytes], stream)

    def wait(self, container: str) -> int:
        """Block until the container's main process has ended; its exit code."""
        with translated(f"wait for container {container[:12]}"):
            return int(self._api.wait(container, timeout=None)["StatusCode"])

    def kill(self, container: str, signal: str = "KILL") -> None:
        """Signal the main process; nothing happens if it has ended already."""
        with translated(f"kill container {container[:12]}"):
            try:
                self._api.kill(container, signal)
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise

    def signals(self, container: str) -> int:
        """How many signals the engine has lately sent to the container's main process, whoever asked for them:
        ``docker kill``, ``stop`` and ``rm --force`` count, what a process inside does cannot. The engine remembers
        its last few hundred events only, so ask soon after the end."""
        with translated(f"ask what ended container {container[:12]}"):
            # up to its own present, which need not be ours; without an end it would go on telling
            until = datetime.fromisoformat(self._api.info()["SystemTime"]).timestamp()
            asked = {"container": container, "event": "kill"}
            return sum(1 for _ in self._api.events(since=1, until=f"{until:.6f}", filters=asked, decode=True))

    def pause(self, container: str) -> None:
        with translated(f"pause container {container[:12]}"):
            self._api.pause(container)

    def unpause(self, container: str) -> None:
        with translated(f"unpause container {container[:12]}"):
            self._api.unpause(container)

    def remove(self, container: str) -> None:
        """Kill and remove; nothing happens if it is gone."""
        with translated(f"remove container {container[:12]}"):
            try:
                self._api.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                return
            except docker.errors.APIError as error:
                if error.status_code != 409:  # "removal is already in progress"
                    raise

    def execute(
        self, container: str, command: tuple[str, ...], user: str, environment: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Run a further program in a running container: exit code, and stdout with stderr."""
        with translated(f"run a command in container {container[:12]}"):
            made = self._api.exec_create(container, list(command), user=user, environment=dict(environment))
            output = self._api.exec_start(made["Id"])
            code = self._api.exec_inspect(made["Id"])["ExitCode"]
        return (-1 if code is None else int(code)), cast(bytes, output)

    def containers(self, label: str) -> list[dict[str, Any]]:
        """All containers, ended ones too, that carry the label (``name`` or ``name=value``)."""
        with translated("list containers"):
            found = self._api.containers(all=True, filters={"label": label})
        return cast(list[dict[str, Any]], found)

    # Volumes

    def create_volume(self, name: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        with translated(f"create volume {name}"):
            self._api.create_volume(name, "local", dict(options), dict(labels))

    def remove_volume(self, name: str) -> None:
        """Remove a volume of ours; nothing happens if it is gone."""
        with translated(f"remove volume {name}"), contextlib.suppress(docker.errors.NotFound):
            self._api.remove_volume(name)

    def volumes(self, label: str) -> list[dict[str, Any]]:
        with translated("list volumes"):
            found = self._api.volumes(filters={"label": label}).get("Volumes")
        return cast(list[dict[str, Any]], found or [])

    # Images

    def inspect_image(self, name: str) -> dict[str, Any]:
        """Raises ``ImageMissing`` if there is none of that name or id."""
        with translated(f"find image {name}"):
            return cast(dict[str, Any], self._api.inspect_image(name))

    def images(self, label: str) -> list[dict[str, Any]]:
        with translated("list images"):
            return cast(list[dict[str, Any]], self._api.images(filters={"label": label}))

    def load_image(self, archive: IO[bytes]) -> None:
        """Load a ``docker save`` archive."""
        with translated("load an image archive"):
            for line in self._api.load_image(archive):
                if isinstance(line, dict) and "error" in line:
                    raise docker.errors.APIError(str(line["error"]))

    def save_image(self, name: str) -> Iterator[bytes]:
        """The archive of an image, in pieces; given a tag, the tag is in it."""
        with translated(f"save image {name}"):
            yield from self._api.get_image(name)

    def remove_image(self, name: str) -> None:
        with translated(f"remove image {name}"), contextlib.suppress(docker.errors.ImageNotFound):
            self._api.remove_image(name)


def address() -> str:
    """Where the engine is expected: ``DOCKER_HOST``, else the system's socket, else a rootless user's."""
    chosen = os.environ.get("DOCKER_HOST")
    if chosen:
        return chosen
    system = Path("/var/run/docker.sock")
    own = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")) / "docker.sock"
    return f"unix://{own if own.exists() and not system.exists() else system}"


def connect() -> Engine:
    """Connect to the engine and check that it is new enough.

    Raises:
        EngineUnavailable: nothing answers, or this user may not ask; the hint says which.
        EngineTooOld: it answers, and is older than ``MINIMUM_VERSION``.
    """
    host = address()
    try:
        tls = docker.utils.kwargs_from_env().get("tls")
        api = docker.APIClient(base_url=host, version="auto", timeout=120, tls=tls or False)
    except (docker.errors.DockerException, *_CONNECTION_ERRORS) as error:
        raise _unavailable(host, error) from None
    engine = Engine(api, host)
    check_version(engine.info().version)
    return engine


def check_version(found: str) -> None:
    """Raises ``EngineTooOld`` for a version text below ``MINIMUM_VERSION``."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < MINIMUM_VERSION:
        needed = ".".join(str(part) for part in MINIMUM_VERSION)
        raise EngineTooOld(
            f"Docker {found} is too old: the sandbox needs {needed} or newer.",
            hint="Update the engine (Debian and Ubuntu: apt-get install docker.io).",
        )


def _unavailable(host: str, error: Exception) -> CurationError:
    text = str(error)
    if any(words in text for words in ("too old", "client version", "no longer supported")):
        return EngineTooOld(f"The engine at {host} is too old: {text}", hint="Update Docker.")
    path = Path(host.removeprefix("unix://"))
    if host.startswith("unix://"):
        if not path.exists():
            return EngineUnavailable(f"No Docker engine is running ({path} is not there).", hint=START_HINT)
        if not os.access(path, os.R_OK | os.W_OK):
            return EngineUnavailable(
                f"You may not use the Docker engine at {path}.",
                hint="Run: sudo usermod -aG docker $USER, and log in again.",
            )
    return EngineUnavailable(f"No Docker engine answers at {host}: {text}", hint=START_HINT)


@contextlib.contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn the SDK's errors into ours; ``action`` completes "could not …".

    Raises:
        ImageMissing, DiskFull, EngineUnavailable: what the engine's reply means.
        ContainerGone: there is no such container.
        ContainerFailed: anything else it refuses.
    """
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageMissing(
            f"Could not {action}: there is no such image.",
            hint="Run `harness images build`, or `harness images load FILE` for a saved one.",
        ) from error
    except docker.errors.APIError as error:
        text = str(error.explanation or error)
        if "no space left on device" in text:
            raise DiskFull(
                f"Could not {action}: the engine's disk is full.",
                hint="Free some: `harness clean`, `docker system df`, `docker image prune`.",
            ) from error
        if error.status_code == 404 and "No such container" in text:
            raise ContainerGone(
                f"Could not {action}: the engine does not have it any more.",
                hint="Somebody or something removed it; `docker events` may say who.",
            ) from error
        if "No such image" in text:
            raise ImageMissing(
                f"Could not {action}: {text}",
                hint="Run `harness images build`, or `harness images load FILE` for a saved one.",
            ) from error
        raise ContainerFailed(
            f"Could not {action}; the engine says: {text}",
            hint="`harness doctor` checks what the sandbox needs of this machine.",
        ) from error
    except (docker.errors.DockerException, *_CONNECTION_ERRORS) as error:
        raise EngineUnavailable(f"Could not {action}: {error}", hint=START_HINT) from error
