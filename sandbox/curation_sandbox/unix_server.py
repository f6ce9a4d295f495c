"""An ASGI application on a Unix socket, served from a thread: what both sockets out of a container have in common."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from curation_sandbox.errors import ContainerFailed, SocketPathTooLong
from curation_sandbox.submit_guard import Gate, Limits, OnError, guarded_protocol

_LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path on Linux (``sun_path`` less its final zero), see unix(7)."""


class UnixServer:
    """Serves between ``start`` and ``stop``.

    The socket gets mode 0666, since the container's user is not ours; what keeps others out is the folder above.
    Mount the folder, not the socket: a server that is started again on the same path is then reachable.
    """

    def __init__(
        self,
        path: Path,
        app: ASGIApp,
        limits: Limits,
        on_error: OnError,
        close: Callable[[], Awaitable[None]] | None = None,
        on_turned_away: Callable[[], None] | None = None,
    ) -> None:
        """Args:
        close: awaited in the server's event loop after its last request.
        on_turned_away: see ``guarded_protocol``.
        """
        self.path = path
        self._close = close
        self._server = uvicorn.Server(_config(Gate(app, limits, on_error), limits, on_turned_away))
        self._identity: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises:
        SocketPathTooLong, ContainerFailed, OSError.
        """
        listener = self._listen()
        name = f"{self.path.stem}-server"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(listener)), name=name, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                self.stop()
                raise ContainerFailed(f"the server of {self.path.name} did not start: see its thread's traceback.")
            time.sleep(0.005)

    def stop(self) -> None:
        if self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join()
        if self._identity is not None and self._identity == _identity(self.path):
            self.path.unlink()
        self._identity = None

    def alive(self) -> bool:
        """Whether the server runs and its socket is still the file that clients will find."""
        running = self._thread is not None and self._thread.is_alive()
        return running and self._identity is not None and self._identity == _identity(self.path)

    async def _run(self, listener: socket.socket) -> None:
        try:
            await self._server.serve(sockets=[listener])
        finally:
            if self._close is not None:
                await self._close()

    def _listen(self) -> socket.socket:
        require_short(self.path)
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        if _identity(self.path) is not None:
            self.path.unlink()  # left by a server that was killed
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o666)
        except OSError:
            listener.close()
            raise
        self._identity = _identity(self.path)
        return listener


def require_short(path: Path) -> None:
    """Raises:
    SocketPathTooLong: no Unix socket can have this path.
    """
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise SocketPathTooLong(
            f"the path of a socket has {length} bytes, Linux allows {_LONGEST_PATH}: {path}",
            hint="Set TMPDIR to a folder with a shorter path.",
        )


def _config(app: ASGIApp, limits: Limits, on_turned_away: Callable[[], None] | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=guarded_protocol(limits, on_turned_away),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        # What uvicorn logs is what the agent sends; failures of ours go to on_error.
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=limits.connections,
        h11_max_incomplete_event_size=limits.header_bytes,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a socket; None where there is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
