"""The submit socket: the protocol's endpoints on a Unix socket, served from a thread.

    with SubmitServer(folder, handler, blobs) as server:
        ...  # folder/submit.sock answers; folder is mounted into the container

``python -m curation_sandbox.submit_server`` prints the OpenAPI document.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

from curation_sandbox.blobs import BlobStore
from curation_sandbox.submit_app import build_app
from curation_sandbox.submit_desk import Desk, HandlerError, KeptReply, SubmitHandler
from curation_sandbox.submit_guard import Limits, OnError
from curation_sandbox.unix_server import UnixServer

__all__ = ["HandlerError", "KeptReply", "Limits", "SubmitHandler", "SubmitServer", "openapi"]

SOCKET_NAME = "submit.sock"

LIMITS = Limits()

_log = logging.getLogger(__name__)


def _log_error(report: str) -> None:
    _log.error("the submit server failed to answer:\n%s", report)


class SubmitServer:
    """Serves the submit protocol on ``folder/submit.sock`` between ``__enter__`` and ``__exit__``.

    Args:
        folder: The socket's own folder, created with mode 0755; see ``UnixServer``.
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
        limits: Limits = LIMITS,
        *,
        replies: MutableMapping[str, KeptReply] | None = None,
        on_error: OnError = _log_error,
    ) -> None:
        self._desk = Desk(handler, blobs, limits, {} if replies is None else replies, on_error)
        app = build_app(lambda: self._desk)
        self._server = UnixServer(folder / SOCKET_NAME, app, limits, on_error)

    @property
    def socket_path(self) -> Path:
        return self._server.path

    def __enter__(self) -> SubmitServer:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._desk.stopping = True
        self._server.stop()
        self._desk.close()

    def alive(self) -> bool:
        """Whether the server runs and its socket is still the file that clients will find."""
        return self._server.alive()


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
