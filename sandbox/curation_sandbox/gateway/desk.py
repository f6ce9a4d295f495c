"""What the gateway is given by the layer above: a desk that counts and records, a source of replies, and the pins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from pydantic import Field, SecretStr, model_validator

from curation_sandbox.gateway.exchange import Ask, Exchange
from curation_sandbox.gateway.wires import Wire
from curation_sandbox.spec import Frozen


class GatewayDesk(Protocol):
    """Called by the gateway in threads: ``admit`` in any number at a time, ``finished`` for one exchange after the
    other."""

    def admit(self, ask: Ask) -> str | None:
        """Why a request may not be sent on, as a sentence for the agent (a spent budget); None: it may. Each
        admitted request comes back in ``finished``, whatever becomes of it."""

    def finished(self, exchange: Exchange) -> None:
        """Count and record it. The last bytes reach the client only after this returns, so what the agent has seen
        is on disk. If it raises, the client gets an error instead and the gateway reports a failure of ours."""


@dataclass(frozen=True)
class Reply:
    """A provider's reply, headers in, body to come."""

    status: int
    headers: Mapping[str, str]
    """Allow-listed ones."""
    body: AsyncIterator[bytes]
    """Decoded pieces as they come. Raises ``ReplyCut`` if it breaks off."""
    tries: int = 1


class ReplyCut(Exception):
    """The reply broke off after its first byte; the message says how, without secrets."""


class ProviderFailed(Exception):
    """No reply, or only transient errors, after all retries; the message is for a reader, without secrets."""

    def __init__(self, message: str, *, status: int, tries: int) -> None:
        super().__init__(message)
        self.status = status
        """The provider's last status; 0 if it could not be reached."""
        self.tries = tries


class ReplyRefused(Exception):
    """There is no reply to this request, and asking again brings none; the message is for the agent's program."""


class ReplySource(Protocol):
    """Where replies come from: the provider (``HttpSource``), or a record that is replayed."""

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Reply]:
        """Send and wait for the reply's headers. Transient errors are retried inside, before the first byte.

        Raises:
            ProviderFailed, ReplyRefused
        """

    async def close(self) -> None:
        """Let go of connections; called once, in the event loop of ``open``."""


class Upstream(Frozen):
    """A provider's address and how to log in."""

    provider: str
    """Name for the record, e.g. ``anthropic``."""
    base_url: str
    """What comes before ``/v1/…``, e.g. ``https://api.anthropic.com``."""
    auth: Literal["x-api-key", "bearer", "none"]
    key: SecretStr | None = None


class ModelPins(Frozen):
    """Which model names may be asked for, and what each means at the provider."""

    models: tuple[str, ...] = Field(min_length=1)
    """Names at the provider that may be asked for, the main model first."""
    aliases: tuple[tuple[str, str], ...] = ()
    """(shell pattern of another asked name, one of ``models``); the first match counts."""
    wires: tuple[Wire, ...] = ()
    """APIs that the run's program may speak; none named: all."""

    @model_validator(mode="after")
    def _aliases_mean_models(self) -> ModelPins:
        for pattern, name in self.aliases:
            if name not in self.models:
                raise ValueError(f"alias {pattern!r} means {name!r}, which is none of the models {self.models}")
        return self

    def speaks(self, wire: Wire) -> bool:
        return wire in self.wires or not self.wires

    def resolve(self, asked: str) -> str | None:
        """The provider's name; None: not allowed."""
        if asked in self.models:
            return asked
        return next((name for pattern, name in self.aliases if fnmatchcase(asked, pattern)), None)
