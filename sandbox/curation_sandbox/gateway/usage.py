"""Tokens of a reply, read from its bytes as they pass."""

from __future__ import annotations

from curation_sandbox.gateway.exchange import Usage
from curation_sandbox.gateway.wires import Wire


class UsageReader:
    def __init__(self, wire: Wire, stream: bool) -> None:
        self.reply_id: str | None = None
        self.finished = False

    def feed(self, data: bytes) -> None:
        pass

    def usage(self) -> Usage | None:
        return None
