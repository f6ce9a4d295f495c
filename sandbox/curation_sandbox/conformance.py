"""Whether the sandbox's properties hold on this machine: of the host, and as seen from inside a container.

Used by ``harness doctor`` and before a run. A property that does not hold comes with what to do about it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import socket
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from curation_sandbox import cgroups, hardening, images, judging, owners
from curation_sandbox import engine as engines
from curation_sandbox.cgroups import Enforced
from curation_sandbox.container import Container
from curation_sandbox.engine import Engine, EngineInfo
from curation_sandbox.errors import CurationError, EngineTooOld, EngineUnavailable, SandboxPropertyMissing
from curation_sandbox.host_checks import host_properties
from curation_sandbox.judging import Property, checked, judge
from curation_sandbox.spec import POOL, SOCKETS, ContainerSpec, Limits, Mount
from curation_sandbox.unix_server import require_short
from curation_sandbox.volumes import Volume

SCRIPT: Final = Path(str(resources.files("curation_sandbox"))) / "incontainer" / "look_around.py"
"""Runs inside, prints what it found."""
SOCKET: Final = "check.sock"
_TARGET: Final = "/opt/look_around.py"
_SECONDS: Final = 60
_SAID: Final = 2**20
"""Bytes of what is printed inside that are looked at; findings are a few thousand."""
_LIMITS: Final = Limits(
    memory=256 * 2**20,
    cpus=0.5,
    pids=64,
    workspace_size=16 * 2**20,
    home_size=16 * 2**20,
    tmp_size=16 * 2**20,
    shm_size=4 * 2**20,
)
_ODD: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of judging findings that the script never prints; an integer beyond all floats is one."""
_DETAIL: Final = 1000
"""Characters of a detail that are kept; those of a container that holds have a few hundred."""
_SIOCGIFADDR: Final = 0x8915


def examine(image: str, runtime: str | None = None) -> list[Property]:
    """Everything: the host's properties, and, if there is an engine and the image, the sandbox's."""
    found = host_properties()
    known = {one.name for one in found}
    return found + [one for one in examine_sandbox(image, runtime) if one.name not in known]


def examine_sandbox(image: str, runtime: str | None = None) -> list[Property]:
    """The sandbox's properties; what keeps a container from being started is one that does not hold."""
    try:
        with engines.connect() as engine:
            require_runtime(engine.info(), runtime)
            return sandbox_properties(engine, images.resolve(engine, image).digest, runtime)
    except CurationError as error:
        # by the name that the host's properties have it under
        name = "engine" if isinstance(error, EngineUnavailable | EngineTooOld) else "container"
        return [checked(name, False, error.message, error.hint or "")]


def sandbox_properties(engine: Engine, image: str, runtime: str | None = None) -> list[Property]:
    """What holds inside a container of the image: starts one, looks around from inside, judges the answers.

    Raises:
        CurationError: the container cannot be run at all, or the image has no ``python3``.
    """
    with ExitStack() as stack:
        run = stack.enter_context(owners.scratch())
        for name in ("pool", "s"):  # the socket's path is no longer than a run's, since Linux bounds it
            (run / name).mkdir()
            (run / name).chmod(0o777)  # so that nothing but its mount keeps the container from writing
        for name, size in (("workspace", _LIMITS.workspace_size), ("home", _LIMITS.home_size)):
            stack.enter_context(Volume(run / f"{name}.img", run / name, size))
        host = stack.enter_context(_Host(run / "s" / SOCKET))
        spec = ContainerSpec(
            run_id="conformance",
            image=image,
            command=("python3", _TARGET, *host.arguments()),
            limits=_LIMITS,
            mounts=(Mount(source=run / "pool", target=POOL), Mount(source=SCRIPT, target=_TARGET)),
            sockets=run / "s",
            workspace=run / "workspace",
            home=run / "home",
            runtime=runtime,
        )
        seen = _seen(engine, spec, host)
    return judged(seen.inside, seen.enforced, image)


def judged(found: Mapping[str, Any], enforced: Enforced, image: str) -> list[Property]:
    """The properties, with details that can be printed on a terminal: what is found may be a stranger's words.

    Args:
        found: what was printed in a container of the image.

    Raises:
        CurationError: it is not what the check prints.
    """
    try:
        properties = list(judge(found, _LIMITS, enforced))
    except _ODD as error:
        raise CurationError(
            f"What the check printed inside a container of {image} is not what it prints: {error!r}",
            hint="The image's python3 is another program. Do not run agents in it.",
        ) from error
    return [one.model_copy(update={"detail": _plain(one.detail)}) for one in properties]


def require_runtime(info: EngineInfo, runtime: str | None) -> None:
    """
    Raises:
        SandboxPropertyMissing: the engine has no runtime of this name.
    """
    if runtime is not None and runtime not in info.runtimes:
        raise SandboxPropertyMissing(
            f"The engine has no runtime {runtime!r}; it has: {', '.join(sorted(info.runtimes))}.",
            hint='Register it under "runtimes" in /etc/docker/daemon.json and reload the engine (docs/isolation.md).',
        )


def fingerprint() -> str:
    """SHA-256 over what the set tries and what a container is made of: another one makes earlier answers void."""
    total = hashlib.sha256(hardening.seccomp_profile().encode())
    for file in (SCRIPT, *(Path(str(module.__file__)) for module in (hardening, judging, cgroups))):
        total.update(file.read_bytes())
    return total.hexdigest()


class _Seen(NamedTuple):
    inside: dict[str, Any]
    enforced: Enforced


class _Host:
    """The host's side: what a container must reach, and what it must not, both listening."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._abstract = f"curation-check-{secrets.token_hex(8)}"
        self._stack = ExitStack()
        self._ports: list[str] = []

    def __enter__(self) -> _Host:
        with ExitStack() as stack:
            require_short(self._place)
            self._own = stack.enter_context(socket.socket(socket.AF_UNIX))
            self._own.bind(str(self._place))
            self._place.chmod(0o666)
            self._own.listen()
            hidden = stack.enter_context(socket.socket(socket.AF_UNIX))
            hidden.bind("\0" + self._abstract)
            hidden.listen()
            for address in _addresses():
                listener = stack.enter_context(socket.create_server((address, 0)))
                self._ports.append(f"{address}:{listener.getsockname()[1]}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def arguments(self) -> tuple[str, ...]:
        """Told to the script."""
        tcp = (word for port in self._ports for word in ("--tcp", port))
        return ("--socket", f"{SOCKETS}/{SOCKET}", "--wait", "--abstract", self._abstract, *tcp)

    def accept(self, container: Container) -> Enforced:
        """Wait for the container to call, look at it from outside, and let it go on."""
        self._own.settimeout(0.1)
        for _ in range(_SECONDS * 10):
            try:
                caller, _ = self._own.accept()
            except TimeoutError:
                if container.wait(0) is not None:
                    break
                continue
            with caller:
                found = container.enforced()
                with suppress(OSError):  # it has gone; what it printed tells
                    caller.sendall(b".")
            return found
        return judging.UNKNOWN


def _addresses() -> list[str]:
    """IPv4 addresses of the host's interfaces."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(asker, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            found.append(socket.inet_ntoa(reply[20:24]))
    return found


def read_findings(said: bytes) -> dict[str, Any] | None:
    """The JSON object that was printed inside; none: it is none."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _end_of(said: bytearray) -> str:
    return _plain(said[-500:].decode(errors="replace").strip()) or "nothing"


def _plain(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text[:_DETAIL])


def _seen(engine: Engine, spec: ContainerSpec, host: _Host) -> _Seen:
    output = bytearray()

    def keep(piece: bytes) -> None:  # the image may be a stranger's, and say anything without end
        output.extend(piece[: max(0, _SAID - len(output))])

    with Container(engine, spec) as container:
        container.start(keep)
        enforced = host.accept(container)
        status = container.wait(_SECONDS)
    found = read_findings(bytes(output))
    if status is None or status.code != 0 or found is None:
        ended = f"did not end within {_SECONDS} s" if status is None else f"ended with status {status.code}"
        image = spec.image.removeprefix("sha256:")[:12] if spec.image.startswith("sha256:") else spec.image
        raise CurationError(
            f"The check inside a container of image {image} told nothing: it {ended}. It said: {_end_of(output)}",
            hint=f"The image needs python3. Try: docker run --rm --entrypoint python3 {image} --version",
        )
    return _Seen(found, enforced)
