"""One run's agent in its container: which folders, sockets and volumes it gets."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from curation_harness.agent import native_log
from curation_harness.agent_container import Places, container_spec
from curation_harness.record.store import RunRecord
from curation_plugins.api import AgentLaunch
from curation_sandbox import engine as engines
from curation_sandbox import owners
from curation_sandbox.container import Container, ExitStatus
from curation_sandbox.output_log import OutputLog
from curation_sandbox.spec import ContainerSpec
from curation_sandbox.submit_server import SOCKET_NAME
from curation_sandbox.volumes import Volume


class AgentBox:
    """The container of a run, and what the run loop needs to know of it."""

    def __init__(
        self,
        record: RunRecord,
        assets: Path,
        launch: AgentLaunch,
        image: str,
        sockets: SocketFolder,
        *,
        gateway: bool,
    ) -> None:
        """Args:
        image: image id.
        gateway: whether ``llm.sock`` is relayed to a port inside.
        """
        self._record = record
        self._assets = assets
        self._launch = launch
        self._image = image
        self._sockets = sockets
        self._gateway = gateway
        self._home: Path | None = None
        self._container: Container | None = None
        self._told_oom_kills = 0

    @contextmanager
    def open(self, on_output: Callable[[bytes], None]) -> Iterator[None]:
        """Create and start the container; it is gone afterwards, its volumes are kept with the record."""
        with ExitStack() as stack:
            limits = self._record.spec.task.limits
            workspace = stack.enter_context(self._volume("workspace", limits.workspace_size))
            home = stack.enter_context(self._volume("home", limits.home_size))
            engine = stack.enter_context(engines.connect())
            log = stack.enter_context(OutputLog(self._record.folder / "agent.log"))
            self._home = home.mountpoint
            self._sockets.hand_over(self._launch.files)
            spec = self._spec(workspace.mountpoint, home.mountpoint)
            self._container = stack.enter_context(Container(engine, spec))

            def keep(chunk: bytes) -> None:
                log.write(chunk)
                on_output(chunk)

            if self._launch.interactive:
                # in a thread, so that the run loop goes on watching budgets
                threading.Thread(target=self._container.interact, name="terminal", daemon=True).start()
            else:
                self._container.start(keep)
            yield

    @property
    def container_id(self) -> str:
        return self._here().id

    def ended(self) -> bool:
        return self._here().wait(0) is not None

    def end(self) -> None:
        """End the agent: asked first, then killed."""
        if not self.ended():
            self._here().stop()

    def exit_status(self) -> ExitStatus | None:
        return self._here().wait(5)

    def require_gone(self) -> None:
        """See that the engine answers and that nothing of the container is left: two of one run would write into one
        workspace.

        Raises:
            EngineUnavailable: it does not answer.
        """
        with engines.connect() as engine:
            if self._container is not None:
                engine.remove(self._container.name)

    def new_oom_kills(self) -> int:
        """Processes killed for memory since the last call."""
        total = self._here().oom_kills()
        new = total - self._told_oom_kills
        self._told_oom_kills = total
        return max(0, new)

    def keep_session_log(self, patterns: Sequence[str], turn: int) -> None:
        """Copy the program's own session log from its home into the record; only while the box is open, after the
        container's end."""
        if self._home is not None and patterns:
            native_log.keep(self._home, patterns, self._record.folder / "native" / f"turn-{turn:03d}")

    def _here(self) -> Container:
        if self._container is None:
            raise RuntimeError("the container was not opened")
        return self._container

    def _volume(self, name: str, size: int) -> Volume:
        folder = self._record.folder / "volumes"
        return Volume(folder / f"{name}.img", folder / name, size)

    def _spec(self, workspace: Path, home: Path) -> ContainerSpec:
        recorded = self._record.spec
        places = Places(
            pool=self._assets / "pool",
            sockets=self._sockets.path,
            files=self._sockets.files,
            workspace=workspace,
            home=home,
        )
        return container_spec(
            recorded.run_id,
            self._image,
            self._launch,
            recorded.task.limits,
            places,
            gateway=self._gateway,
            runtime=recorded.runtime,
        )


def socket_like() -> Path:
    """A path as long as those of a run's sockets, to be tried before there is a run."""
    return Path(tempfile.gettempdir()) / f"{owners.TEMPORARY}12345678" / "s" / SOCKET_NAME


class SocketFolder:
    """Folders of the run's own for its sockets and for files handed to the agent. A context manager.

    Their paths are short enough for a Unix socket; they are siblings, so that neither mount shows the other.
    """

    def __init__(self) -> None:
        self._closed: Path | None = None

    def __enter__(self) -> SocketFolder:
        self._closed = Path(
            tempfile.mkdtemp(prefix=owners.TEMPORARY)
        )  # mode 0700: other users of this machine stay out
        owners.mark(self._closed)
        self.path.mkdir(mode=0o755)
        self.files.mkdir(mode=0o755)
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._here(), ignore_errors=True)

    @property
    def path(self) -> Path:
        """Where the sockets are; shown at ``/run/curation``."""
        return self._here() / "s"

    @property
    def files(self) -> Path:
        """What is copied into the agent's home; shown at ``FILES``."""
        return self._here() / "f"

    def hand_over(self, files: Mapping[str, str]) -> None:
        """Replace the files by these, path relative to HOME → content."""
        shutil.rmtree(self.files, ignore_errors=True)  # it may be gone already
        self.files.mkdir(mode=0o755)
        for name, content in files.items():
            place = self.files / name
            if not place.resolve().is_relative_to(self.files.resolve()):
                raise ValueError(f"{name!r} is not inside the home")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")

    def _here(self) -> Path:
        if self._closed is None:
            raise RuntimeError("the folder was not opened")
        return self._closed
