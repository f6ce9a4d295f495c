"""Stub of the lead's: the gateway helper replaces this file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from curation_sandbox.gateway.desk import Reply, Upstream
from curation_sandbox.gateway.exchange import Ask


class HttpSource:
    def __init__(self, upstream: Upstream) -> None: ...

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Reply]:
        raise NotImplementedError
