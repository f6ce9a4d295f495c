"""What passed through the gateway, as data: one ``Exchange`` a request, complete, without any secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from curation_sandbox.gateway.wires import Wire

Outcome = Literal["ok", "refused", "budget", "provider-error", "cut", "client-gone", "ours"]
"""How an exchange ended.

``ok``: the provider's reply was passed on whole, an error status that is the request's own fault (4xx)
included. ``refused``: the gateway's rules say no. ``budget``: a spent budget says no. ``provider-error``: the
provider failed before the first byte, retries included (429, 5xx, unreachable). ``cut``: its stream broke after
the first byte, or ended in an error of the provider's. ``client-gone``: the agent hung up. ``ours``: the gateway
itself failed.
"""


@dataclass(frozen=True)
class Usage:
    """Tokens of one exchange, from the provider's own figures.

    ``input`` counts all prompt tokens, those read from and written to a cache included; ``output`` all generated
    ones, reasoning included.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    """Whether a part of it is a guess: the provider's figures come last, and they did not come."""

    @property
    def total(self) -> int:
        return self.input + self.output


class Chunk(NamedTuple):
    """A piece of a reply as it was passed on."""

    at: float
    """Seconds since the exchange began."""
    data: bytes


@dataclass(frozen=True)
class Ask:
    """A request that passed the gateway's rules, as it is sent on."""

    id: int
    """1, 2, 3 … in order of arrival, refused ones included."""
    method: str
    path: str
    """With its query string."""
    kind: Literal["generate", "count", "models"]
    wire: Wire | None
    model_asked: str | None
    """The name in the client's request."""
    model: str | None
    """The pinned name that goes to the provider."""
    headers: Mapping[str, str]
    """Allow-listed ones; no credential among them."""
    body: bytes
    """Decompressed, filtered, with the pinned model."""
    stream: bool


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and all that came of it."""

    id: int
    began: float
    """Unix time."""
    method: str
    path: str
    wire: Wire | None
    kind: str
    """The endpoint's kind, or ``unknown``."""
    model_asked: str | None = None
    model: str | None = None
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request: bytes = b""
    """The client's body, decompressed; cut off where it was refused for its size."""
    sent: bytes | None = None
    """The body as it was sent on; None if it was not."""
    changes: tuple[str, ...] = ()
    """What the filter took out of the body, one line each, e.g. ``tools[3]: web_search_20250305 removed``."""
    status: int = 0
    """HTTP status that the client got; 0: none."""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] = ()
    outcome: Outcome
    reason: str = ""
    """For a reader, unless ``ok``; no secret in it."""
    usage: Usage | None = None
    """None if nothing was sent to the provider, or nothing came of it."""
    tries: int = 0
    """Requests made to the provider."""
    seconds: float = 0.0

    @property
    def response(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def first_byte_seconds(self) -> float | None:
        return self.chunks[0].at if self.chunks else None
