"""The model gateway on its Unix socket.

with GatewayServer(folder, source, pins, desk, on_error=log) as gateway:
    ...  # folder/llm.sock answers; folder is mounted into the container
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from curation_sandbox.gateway.app import Gateway
from curation_sandbox.gateway.bodies import MAX_BODY
from curation_sandbox.gateway.desk import GatewayDesk, ModelPins, ReplySource
from curation_sandbox.submit_guard import Limits, OnError
from curation_sandbox.unix_server import UnixServer

SOCKET_NAME: Final = "llm.sock"

LIMITS: Final = Limits(
    json_bytes=MAX_BODY + 1,  # the gateway's own bound comes first, with a message of its own
    header_bytes=64 * 1024,
    idle_seconds=60.0,
    body_seconds=300.0,
    keep_alive_seconds=300,
    connections=128,
    requests_per_second=50.0,
    burst=200,
)
"""What an agent's program may ask of the gateway."""


class Activity(NamedTuple):
    """A sign of life."""

    in_flight: int
    """Requests under way."""
    last: float
    """When one last began or ended, on the monotonic clock."""


class GatewayServer:
    """Serves ``folder/llm.sock`` between ``__enter__`` and ``__exit__``.

    Args:
        folder: the socket's own folder; see ``UnixServer``.
        source: where replies come from.
        pins: the models that may be asked for.
        desk: counts and records; see ``GatewayDesk``.
        first_id: number of the first exchange.
        on_error: gets the traceback of every failure of ours.
        on_turned_away: called for each connection that was ended before there was a request to record: malformed,
            too slow, or one too many.
    """

    def __init__(
        self,
        folder: Path,
        source: ReplySource,
        pins: ModelPins,
        desk: GatewayDesk,
        limits: Limits = LIMITS,
        *,
        first_id: int = 1,
        on_error: OnError,
        on_turned_away: Callable[[], None] | None = None,
    ) -> None:
        self._gateway = Gateway(source, pins, desk, first_id=first_id, on_error=on_error)
        self._server = UnixServer(
            folder / SOCKET_NAME, self._gateway, limits, on_error, self._gateway.close, on_turned_away
        )

    @property
    def socket_path(self) -> Path:
        return self._server.path

    def __enter__(self) -> GatewayServer:
        """Raises:
        SocketPathTooLong, ContainerFailed.
        """
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    def alive(self) -> bool:
        return self._server.alive()

    def activity(self) -> Activity:
        return Activity(self._gateway.in_flight, self._gateway.last)
