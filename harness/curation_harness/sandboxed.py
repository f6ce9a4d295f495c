"""One run's agent in its container: which folders, sockets and volumes it gets."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import curation_sandbox
from curation_harness.record.store import RunRecord
from curation_plugins.api import AgentLaunch
from curation_sandbox import engine as engines
from curation_sandbox.container import Container, ExitStatus
from curation_sandbox.output_log import OutputLog
from curation_sandbox.spec import POOL, ContainerSpec, Mount
from curation_sandbox.volumes import Volume

CURATE = Path(curation_sandbox.__file__).parent / "incontainer" / "curate.py"
"""The command ``curate``: one file, mounted read-only."""


class AgentBox:
    """The container of a run, and what the run loop needs to know of it."""

    def __init__(self, record: RunRecord, assets: Path, launch: AgentLaunch, image: str, sockets: Path) -> None:
        """Args:
        image: image id.
        sockets: host folder with the run's sockets.
        """
        self._record = record
        self._assets = assets
        self._launch = launch
        self._image = image
        self._sockets = sockets
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

    def new_oom_kills(self) -> int:
        """Processes killed for memory since the last call."""
        total = self._here().oom_kills()
        new = total - self._told_oom_kills
        self._told_oom_kills = total
        return max(0, new)

    def _here(self) -> Container:
        if self._container is None:
            raise RuntimeError("the container was not opened")
        return self._container

    def _volume(self, name: str, size: int) -> Volume:
        folder = self._record.folder / "volumes"
        return Volume(folder / f"{name}.img", folder / name, size)

    def _spec(self, workspace: Path, home: Path) -> ContainerSpec:
        return ContainerSpec(
            run_id=self._record.spec.run_id,
            image=self._image,
            command=self._launch.command,
            environment=self._launch.environment,
            limits=self._record.spec.task.limits,
            mounts=(
                Mount(source=self._assets / "pool", target=POOL),
                Mount(source=CURATE, target="/usr/local/bin/curate"),
                *self._launch.mounts,
            ),
            sockets=self._sockets,
            workspace=workspace,
            home=home,
            interactive=self._launch.interactive,
        )


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder of the run's own for its sockets, with a path short enough for a Unix socket."""
    closed = Path(tempfile.mkdtemp(prefix="curation-"))  # mode 0700: other users of this machine stay out
    folder = closed / "s"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(closed, ignore_errors=True)
