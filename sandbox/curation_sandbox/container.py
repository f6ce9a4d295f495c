"""One container: created, started, watched, removed.

    with Container(engine, spec) as container:
        container.start(on_output=write)
        status = container.wait(timeout=60)

The hardened set is in ``hardening.py``. Leaving the block removes the container, whatever happened; after a
``kill -9`` of the harness the reaper does. ``CURATION_KEEP_CONTAINER=1`` leaves it for a look inside: as it is, if
it runs; the reaper passes it by, and ``docker rm --force`` removes it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from curation_sandbox import __version__, cgroups, mounts, owners
from curation_sandbox.cgroups import Enforced
from curation_sandbox.engine import LABEL, START_HINT, Engine
from curation_sandbox.errors import ContainerFailed, EngineUnavailable, SandboxPropertyMissing
from curation_sandbox.hardening import engine_json, read_only_binds
from curation_sandbox.spec import ContainerSpec
from curation_sandbox.staging import staged

KEEP_VARIABLE: Final = "CURATION_KEEP_CONTAINER"

KEPT_LABEL: Final = f"{LABEL}.kept"

# After the main process has ended, its last output is at most this many seconds away.
_DRAIN_SECONDS: Final = 30.0


class ExitStatus(NamedTuple):
    """How the main process ended."""

    code: int
    """Exit code; 128 + signal if it was killed."""
    oom_killed: bool
    """Whether the kernel killed a process of the container for memory."""
    from_outside: bool = False
    """Whether somebody else had the engine end it (``docker kill``, ``stop``, ``rm --force``)."""


class ExecResult(NamedTuple):
    """How a further program in the container ended."""

    code: int
    output: bytes
    """Standard output and error, together."""


class Container:
    """A container of a ``ContainerSpec``; a context manager."""

    def __init__(self, engine: Engine, spec: ContainerSpec) -> None:
        self.spec = spec
        self.name = f"curation-{spec.run_id}-{secrets.token_hex(4)}"
        """Its name at the engine."""
        self._engine = engine
        self._id: str | None = None
        self._resources = ExitStack()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._reader: threading.Thread | None = None
        self._memory_events: Path | None = None
        self._oom_kills = 0
        self._status: ExitStatus | None = None
        self._kept = False
        self._signals = 0
        """Signals that we had the engine send."""

    @property
    def id(self) -> str:
        """The engine's id."""
        if self._id is None:
            raise ContainerFailed(f"The container {self.name} is used outside its `with` block.")
        return self._id

    def __enter__(self) -> Self:
        """Create it.

        Raises:
            ImageMissing: the engine has no such image.
            ContainerFailed: the engine or the kernel refuses; nothing is left behind.
        """
        with ExitStack() as stack:
            self._check_image()
            binds = stack.enter_context(staged(self.name, read_only_binds(self.spec)))
            stack.callback(self._remove)
            self._id = self._engine.create(engine_json(self.spec, binds, self._labels()), self.name)
            self._kept = _keeping()
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def start(self, on_output: Callable[[bytes], None] | None = None) -> None:
        """Start the main process. ``on_output`` gets its output (both streams, as it comes, in a thread of ours);
        while it blocks, so does the container's writing. What it raises comes out of ``wait``.

        Raises:
            ContainerFailed: the command cannot be run.
            SandboxPropertyMissing: a read-only mount is not; the container has been killed.
        """
        output = self._engine.attach(self.id)
        self._reader = threading.Thread(
            target=self._read, args=(output, on_output), name=f"output of {self.name}", daemon=True
        )
        self._reader.start()
        self._engine.start(self.id)
        self._started()
        threading.Thread(target=self._watch, name=f"end of {self.name}", daemon=True).start()

    def wait(self, timeout: float | None = None) -> ExitStatus | None:
        """How the main process ended, once all its output was handed over; None: it still runs after
        ``timeout`` seconds.

        Raises:
            EngineUnavailable: the engine went away.
            BaseException: what ``on_output`` raised.
        """
        if not self._ended.wait(timeout):
            return None
        if self._reader is not None:
            self._reader.join(_DRAIN_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._status is None:
            self._status = self._exit_status()
        return self._status

    def kill(self) -> None:
        """End it at once; nothing happens if it has ended."""
        self._signal("KILL")

    def stop(self, grace: float = 10.0) -> None:
        """Ask it to end (SIGTERM), and kill it after ``grace`` seconds."""
        self._signal("TERM")
        if not self._ended.wait(grace):
            self.kill()

    def exec(self, argv: tuple[str, ...] | list[str], user: str | None = None) -> ExecResult:
        """Run a further program in the running container, confined alike. For tests and checks."""
        uid, gid = self.spec.user
        code, output = self._engine.execute(self.id, tuple(argv), user or f"{uid}:{gid}", {})
        return ExecResult(code, output)

    def enforced(self) -> Enforced:
        """The limits that the kernel holds it to, as the host sees them; only while it runs."""
        return cgroups.enforced(int(self._engine.inspect(self.id)["State"]["Pid"]))

    def oom_kills(self) -> int:
        """Processes of the container killed for memory so far; 0 if the host does not let us count them."""
        if self._memory_events is not None:
            self._oom_kills = max(self._oom_kills, _count(self._memory_events))
        if self._status is not None and self._status.oom_killed:
            return max(1, self._oom_kills)
        return self._oom_kills

    def interact(self) -> ExitStatus:
        """Start it with the user's terminal connected, for a spec that is ``interactive``; returns at its end.

        Detaching by the client's keys ends it too: a person's seat is not left running.
        """
        if not self.spec.interactive:
            raise ContainerFailed("Only a container with interactive=True has a terminal.")
        client = shutil.which("docker")
        if client is None:
            raise EngineUnavailable(
                "There is no `docker` command, which connects your terminal to the container.",
                hint="Install the client (Debian and Ubuntu: apt-get install docker.io).",
            )
        subprocess.run(
            [client, "start", "--attach", "--interactive", self.id],
            env={**os.environ, "DOCKER_HOST": self._engine.host},
            check=False,
        )
        self._signal("KILL")
        self._engine.wait(self.id)
        self._status = self._exit_status()
        self._ended.set()
        return self._status

    def _labels(self) -> dict[str, str]:
        return {
            **self.spec.labels,
            f"{LABEL}.version": __version__,
            f"{LABEL}.run": self.spec.run_id,
            **({KEPT_LABEL: "1"} if _keeping() else {}),
            **{f"{LABEL}.{name}": value for name, value in owners.current().labels().items()},
        }

    def _check_image(self) -> None:
        config = self._engine.inspect_image(self.spec.image).get("Config") or {}
        if config.get("Volumes"):
            raise ContainerFailed(
                f"The image {self.spec.image} declares volumes ({', '.join(config['Volumes'])}): each would be"
                " writable and without a bound.",
                hint="Remove the VOLUME lines from its Dockerfile.",
            )

    def _remove(self) -> None:
        if self._kept:
            return
        # By name: if creating was interrupted, the engine may have made it without our knowing the id.
        self._engine.remove(self.name)
        if self._reader is not None:
            self._reader.join(_DRAIN_SECONDS)

    def _started(self) -> None:
        pid = int(self._engine.inspect(self.id)["State"]["Pid"])
        if pid == 0:
            return  # ended already
        try:
            seen = {str(point.target): point.options for point in mounts.mounted(pid)}
            self._memory_events = cgroups.memory_events(pid)
        except OSError:
            return  # ended already, or another machine's or user's engine
        if HOSTNAME_FILE not in seen:
            return  # that pid is not the container's: an engine on another machine, or a runtime with its own kernel
        for target in ("/", *(target for _, target in read_only_binds(self.spec))):
            if "ro" not in seen.get(target, frozenset()):
                self.kill()
                raise SandboxPropertyMissing(
                    f"{target} is not mounted read-only in the container, which was killed.",
                    hint="The engine does not see the harness's mounts: run both in one mount namespace.",
                )

    def _read(self, output: Iterator[bytes], on_output: Callable[[bytes], None] | None) -> None:
        try:
            for piece in output:
                if on_output is not None and self._failure is None:
                    try:
                        on_output(piece)
                    except Exception as error:  # handed to wait(); keep draining, or the container stalls
                        self._failure = error
        except Exception as error:  # nobody would see it in this thread; wait() raises it
            why = f"The engine broke off the output of {self.name} ({type(error).__name__})."
            self._failure = self._failure or EngineUnavailable(why, hint=START_HINT)

    def _watch(self) -> None:
        try:
            self._engine.wait(self.id)
        except Exception as error:  # wait() raises it: an end that nobody has seen is none
            self._failure = self._failure or error
        finally:
            self._ended.set()

    def _signal(self, name: str) -> None:
        self._signals += 1
        self._engine.kill(self.id, name)

    def _exit_status(self) -> ExitStatus:
        state = self._engine.inspect(self.id)["State"]
        # only where none of it was us: an order of ours may come after its end, and then leaves no trace
        outside = self._signals == 0 and self._engine.signals(self.id) > 0
        return ExitStatus(int(state["ExitCode"]), bool(state["OOMKilled"]) or self._oom_kills > 0, outside)


HOSTNAME_FILE: Final = "/etc/hostname"
"""The engine mounts one into every container: by it a container's mounts are known from a host's."""


def _keeping() -> bool:
    return os.environ.get(KEEP_VARIABLE) == "1"


def _count(events: Path) -> int:
    try:
        counts = dict(line.split() for line in events.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))
