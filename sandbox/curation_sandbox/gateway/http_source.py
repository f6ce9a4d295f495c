"""Replies from the provider itself, over HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import httpx

from curation_sandbox.gateway.desk import ProviderFailed, Reply, ReplyCut, Upstream
from curation_sandbox.gateway.exchange import Ask

TRANSIENT: Final = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
"""Statuses after which the same request may succeed; 529 is Anthropic's *overloaded*, the 520s are Cloudflare's."""
OURS: Final = frozenset((401, 402, 403, 407))
"""The key, the account or the way to the provider is wrong, which is no fault of the agent's."""
LEAST_SECRET: Final = 12
"""Characters of a key that is blotted out of replies. Shorter ones are the dummies of local servers (``EMPTY``,
``test``), which are no secrets and stand in ordinary text."""


@dataclass(frozen=True)
class Retry:
    """How long a provider may fail before it counts as failed."""

    tries: int = 6
    first_seconds: float = 1.0
    """Wait after the first failure; doubled with each one, and shortened at random by up to a quarter."""
    longest_seconds: float = 60.0
    """Cap on one wait, also on what ``retry-after`` asks for."""
    total_seconds: float = 300.0
    """After this long no further try begins: the agent's program waits meanwhile, and gives up in the end."""


class HttpSource:
    """``ReplySource`` of a provider. Belongs to the event loop that first uses it, until it is closed."""

    def __init__(
        self,
        upstream: Upstream,
        retry: Retry | None = None,
        *,
        read_seconds: float = 1800.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Args:
        read_seconds: longest silence of the provider; a model can think for minutes before its first word.
        """
        self._upstream = upstream
        self._retry = retry or Retry()
        self._timeout = httpx.Timeout(connect=20.0, read=read_seconds, write=120.0, pool=None)
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self.while_failing: Callable[[], AbstractContextManager[None]] = nullcontext
        """Entered for as long as a request waits for a provider that has failed on it."""

    @asynccontextmanager
    async def open(self, ask: Ask) -> AsyncIterator[Reply]:
        with ExitStack() as trouble:
            response, pieces, first, tries = await self._answer(ask, trouble)
        try:
            headers = {name: self._redact(value) for name, value in response.headers.items()}
            yield Reply(response.status_code, headers, self._body(pieces, first), tries)
        finally:
            await response.aclose()

    async def close(self) -> None:
        client, self._client = self._client, None  # a gateway that is opened again has another event loop
        if client is not None:
            await client.aclose()

    # -- inside --------------------------------------------------------------------------------------

    async def _answer(self, ask: Ask, trouble: ExitStack) -> tuple[httpx.Response, AsyncIterator[bytes], bytes, int]:
        """A reply whose first bytes are there; what fails before them is tried again, in ``while_failing``.

        Raises:
            ProviderFailed
        """
        status, why = 0, ""
        end = time.monotonic() + self._retry.total_seconds
        attempt = 0
        while True:
            attempt += 1
            wait = ""
            try:
                response = await self._http().send(self._request(ask), stream=True)
                status, wait = response.status_code, response.headers.get("retry-after", "")
                if status in TRANSIENT or status in OURS or status < 200 or 300 <= status < 400:
                    await response.aclose()
                    why = f"HTTP {status}"
                else:
                    return response, *await _begun(response), attempt
            except httpx.HTTPError as error:
                status, why = 0, _reason(error)
            if status in OURS:
                message = f"the provider refuses the harness's key or account (HTTP {status})"
                raise ProviderFailed(message, status=status, tries=attempt)
            if 300 <= status < 400:  # never followed: the key goes to the configured address only
                message = f"the provider sends elsewhere (HTTP {status}): its base URL is wrong"
                raise ProviderFailed(message, status=status, tries=attempt)
            pause = self._pause(attempt, wait)
            if attempt >= self._retry.tries or time.monotonic() + pause >= end:
                message = f"the model provider failed {attempt} times, at last: {why}"
                raise ProviderFailed(message, status=status, tries=attempt)
            if attempt == 1:
                trouble.enter_context(self.while_failing())
            await asyncio.sleep(pause)

    async def _body(self, pieces: AsyncIterator[bytes], first: bytes) -> AsyncIterator[bytes]:
        redactor = Redactor(self._secret())
        try:
            yield redactor.feed(first)
            async for piece in pieces:
                yield redactor.feed(piece)
        except httpx.HTTPError as error:
            raise ReplyCut(_reason(error)) from None
        yield redactor.rest()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=self._timeout,
                transport=self._transport,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            )
        return self._client

    def _request(self, ask: Ask) -> httpx.Request:
        # packed replies are held back until a block is full
        headers = {**ask.headers, "accept-encoding": "identity"}
        key = self._key()
        if self._upstream.auth == "x-api-key":
            headers["x-api-key"] = key
        elif self._upstream.auth == "bearer":
            headers["authorization"] = f"Bearer {key}"
        url = self._upstream.base_url + ask.path
        return self._http().build_request(ask.method, url, headers=headers, content=ask.body)

    def _pause(self, attempt: int, retry_after: str) -> float:
        try:
            asked = float(retry_after)
        except ValueError:  # none, or a date
            asked = 0.0
        if not asked >= 0:  # "nan" is a number too
            asked = 0.0
        own = self._retry.first_seconds * 2.0 ** (attempt - 1) * random.uniform(0.75, 1.0)
        return min(max(asked, own), self._retry.longest_seconds)

    def _key(self) -> str:
        return self._upstream.key.get_secret_value() if self._upstream.key else ""

    def _secret(self) -> str:
        """The key, if it is one that has to be kept."""
        key = self._key()
        return key if len(key) >= LEAST_SECRET else ""

    def _redact(self, text: str) -> str:
        key = self._secret()
        return text.replace(key, "*" * len(key)) if key else text


class Redactor:
    """Blots the key out of a reply that repeats it, also where it is split over pieces."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The next bytes to pass on; an end that could begin the key is held back."""
        if not self._key:
            return piece
        data = (self._held + piece).replace(self._key, b"*" * len(self._key))
        keep = self._beginning(data[-(len(self._key) - 1) :]) if len(self._key) > 1 else 0
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def _beginning(self, end: bytes) -> int:
        """How many of the last bytes are the key's first ones."""
        at = end.find(self._key[:1])
        while at >= 0:
            if self._key.startswith(end[at:]):
                return len(end) - at
            at = end.find(self._key[:1], at + 1)
        return 0

    def rest(self) -> bytes:
        held, self._held = self._held, b""
        return held


async def _begun(response: httpx.Response) -> tuple[AsyncIterator[bytes], bytes]:
    """The reply's pieces, and the first of them.

    Raises:
        httpx.HTTPError: it broke off before that.
    """
    pieces = response.aiter_bytes()
    try:
        return pieces, await anext(pieces, b"")
    except BaseException:  # cancelled too: the connection goes back to the pool
        await response.aclose()
        raise


def _reason(error: httpx.HTTPError) -> str:
    """The kind of failure; its text could quote addresses with credentials."""
    return type(error).__name__
