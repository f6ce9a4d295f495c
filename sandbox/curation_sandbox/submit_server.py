"""The submit socket: the protocol's endpoints on a Unix socket, served from a thread.

    with SubmitServer(folder, handler, blobs) as server:
        ...  # folder/submit.sock answers; folder is mounted into the container

``python -m curation_sandbox.submit_server`` prints the OpenAPI document.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from curation_sandbox.blobs import BlobStore
from curation_sandbox.errors import ContainerFailed, SocketPathTooLong
from curation_sandbox.submit_app import build_app
from curation_sandbox.submit_desk import Desk, HandlerError, KeptReply, SubmitHandler
from curation_sandbox.submit_guard import Gate, Limits, OnError, guarded_protocol

__all__ = ["HandlerError", "KeptReply", "Limits", "SubmitHandler", "SubmitServer", "openapi"]

SOCKET_NAME = "submit.sock"

_LONGEST_PATH = 107
"""Bytes of a Unix socket's path on Linux (``sun_path`` less its final zero), see unix(7)."""

_log = logging.getLogger(__name__)


def _log_error(report: str) -> None:
    _log.error("the submit server failed to answer:\n%s", report)


class SubmitServer:
    """Serves the submit protocol on ``folder/submit.sock`` between ``__enter__`` and ``__exit__``.

    Mount the folder, not the socket: a server that is started again on the same path is then reachable.

    Args:
        folder: The socket's own folder, created with mode 0755. The socket gets mode 0666, since the
            container's user is not ours; what keeps others out is the folder above.
        handler: Answers; see ``SubmitHandler`` for what threads call it.
        blobs: Where uploads go.
        limits: What the agent may ask.
        replies: Replies by idempotency key. Pass a mapping kept on disk to have keys survive a restart.
        on_error: Gets the traceback of every failure of ours that an agent was told of as ``ours``.
    """

    def __init__(
        self,
        folder: Path,
        handler: SubmitHandler,
        blobs: BlobStore,
        limits: Limits | None = None,
        *,
        replies: MutableMapping[str, KeptReply] | None = None,
        on_error: OnError = _log_error,
    ) -> None:
        self.socket_path = folder / SOCKET_NAME
        self._handler = handler
        self._blobs = blobs
        self._limits = limits or Limits()
        self._replies: MutableMapping[str, KeptReply] = {} if replies is None else replies
        self._on_error = on_error
        self._identity: tuple[int, int] | None = None
        self._desk: Desk | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> SubmitServer:
        listener = self._listen()
        desk = Desk(self._handler, self._blobs, self._limits, self._replies, self._on_error)
        server = uvicorn.Server(self._config(desk))
        thread = threading.Thread(target=server.run, args=([listener],), name="submit-server", daemon=True)
        self._desk, self._server, self._thread = desk, server, thread
        thread.start()
        while not server.started:
            if not thread.is_alive():
                self._stop()
                raise ContainerFailed("the submit server did not start: see its thread's traceback.")
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def alive(self) -> bool:
        """Whether the server runs and its socket is still the file that clients will find."""
        running = self._thread is not None and self._thread.is_alive()
        return running and self._identity is not None and self._identity == _identity(self.socket_path)

    def _listen(self) -> socket.socket:
        length = len(os.fsencode(self.socket_path))
        if length > _LONGEST_PATH:
            raise SocketPathTooLong(
                f"the path of the submit socket has {length} bytes, Linux allows {_LONGEST_PATH}: {self.socket_path}",
                hint="Use a run folder with a shorter path.",
            )
        folder = self.socket_path.parent
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        if _identity(self.socket_path) is not None:
            self.socket_path.unlink()  # left by a server that was killed
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.socket_path))
            self.socket_path.chmod(0o666)
        except OSError:
            listener.close()
            raise
        self._identity = _identity(self.socket_path)
        return listener

    def _config(self, desk: Desk) -> uvicorn.Config:
        limits = self._limits
        return uvicorn.Config(
            Gate(build_app(lambda: desk), limits, self._on_error),
            http=guarded_protocol(limits),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
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

    def _stop(self) -> None:
        if self._desk is None or self._server is None or self._thread is None:
            return
        self._desk.stopping = True
        self._server.should_exit = True
        self._thread.join()
        self._desk.close()
        if self._identity is not None and self._identity == _identity(self.socket_path):
            self.socket_path.unlink()
        self._identity = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a socket; None where there is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the protocol, without running anything."""

    def no_desk() -> Desk:
        raise AssertionError("only the document is asked for")

    return build_app(no_desk).openapi()


def openapi_text() -> str:
    """The document as it stands in ``docs/submit-protocol.openapi.json``."""
    return json.dumps(openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
