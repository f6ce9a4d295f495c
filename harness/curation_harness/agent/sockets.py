"""The sockets of a run's container and the servers behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final, Self

from curation_harness.agent.box import SocketFolder
from curation_harness.agent.model_desk import ModelDesk
from curation_harness.agent.seat import ModelLine
from curation_harness.desk.handler import RunHandler
from curation_harness.record.store import RunRecord
from curation_sandbox.blobs import BlobStore
from curation_sandbox.gateway.server import Activity, GatewayServer
from curation_sandbox.submit_server import Limits, SubmitServer

SLOWEST: Final = 2 * 2**20
"""Bytes a second at which the largest submission of a task is still taken whole."""


class AgentSockets:
    """``submit.sock``, and in a run with a model ``llm.sock``, in a folder of their own. A context manager."""

    def __init__(
        self,
        record: RunRecord,
        handler: RunHandler,
        blobs: BlobStore,
        model: ModelLine | None,
        desk: ModelDesk | None,
    ) -> None:
        self.folder = SocketFolder()
        self._record = record
        self._handler = handler
        self._blobs = blobs
        self._model = model
        self._desk = desk
        self._gateway: GatewayServer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Raises:
        CurationError: a server cannot be started.
        """
        with ExitStack() as stack:
            stack.enter_context(self.folder)
            self._submit = stack.enter_context(self._submit_server())
            if self._model is not None and self._desk is not None:
                self._gateway = stack.enter_context(self._gateway_server(self._model, self._desk))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def alive(self) -> bool:
        """Whether the agent can still find them. A folder that was removed cannot be mended: what the container shows
        is the removed one."""
        return self._submit.alive() and (self._gateway is None or self._gateway.alive())

    def activity(self) -> Activity | None:
        """The model gateway's last sign of life, where there is one."""
        return None if self._gateway is None else self._gateway.activity()

    def _submit_server(self) -> SubmitServer:
        longest = self._record.spec.task.submission.max_bytes / SLOWEST
        return SubmitServer(
            self.folder.path,
            self._handler,
            self._blobs,
            limits=Limits(body_seconds=max(Limits.body_seconds, longest)),
            on_error=self._error_teller("server-error"),
        )

    def _gateway_server(self, model: ModelLine, desk: ModelDesk) -> GatewayServer:
        return GatewayServer(
            self.folder.path,
            model.source,
            model.pins,
            desk,
            first_id=desk.first_id,
            on_error=self._error_teller("gateway-error"),
            on_turned_away=desk.turned_away,
        )

    def _error_teller(self, kind: str) -> Callable[[str], None]:
        """For requests that a server of ours could not answer: ours, told to the agent as such."""
        lock = threading.Lock()

        def tell(report: str) -> None:
            with suppress(OSError), lock:  # a full disk must not cost the agent its answer
                with (self._record.folder / "server.log").open("a") as log:
                    log.write(f"{report}\n")
                self._record.events.append(kind, error=report.strip().splitlines()[-1][:500])

        return tell
