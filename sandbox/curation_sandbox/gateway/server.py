"""Stub of the lead's: the gateway helper replaces this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from curation_sandbox.gateway.desk import GatewayDesk, ModelPins, ReplySource


class Activity(NamedTuple):
    in_flight: int
    last: float


class GatewayServer:
    def __init__(
        self,
        folder: Path,
        source: ReplySource,
        pins: ModelPins,
        desk: GatewayDesk,
        *,
        first_id: int = 1,
        on_error: Callable[[str], None],
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> GatewayServer:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def activity(self) -> Activity:
        raise NotImplementedError
