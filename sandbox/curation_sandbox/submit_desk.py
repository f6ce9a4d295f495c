"""Between the submit protocol's endpoints and the handler that knows what a submission is.

Decided here is only what HTTP, blobs and idempotency need; everything else is the handler's, handed down by the
layer above. This layer knows no task.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fastapi import Request

from curation_sandbox.blobs import BlobRejected, BlobStore
from curation_sandbox.errors import CurationError
from curation_sandbox.protocol import (
    AttemptView,
    Checking,
    CheckReply,
    Digest,
    Duplicate,
    History,
    HistoryFile,
    MethodList,
    MethodView,
    PolicyFile,
    ReproduceRequest,
    ReproductionView,
    SignalView,
    Status,
    SubmitReply,
    SubmitRequest,
    TaskView,
    Wire,
)
from curation_sandbox.submit_guard import Limits, OnError, Reject

_V = TypeVar("_V")

_WRITE_SIZE = 1024 * 1024
"""Bytes of an upload that are collected before a thread writes them."""


class HandlerError(CurationError):
    """What a handler raises to answer with an error of the protocol, e.g. ``HandlerError(409, "busy", …)``.

    Args:
        status: HTTP status; 409 busy, 403 budget-spent, 410 run-over, 404 not-found, 400 bad-request.
        error: Stable name, see ``protocol.ErrorReply``.
        message: For the agent: what happened and what to do.
    """

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class SubmitHandler(Protocol):
    """What the server asks the layer above.

    Methods are called from several threads at once, except that no two ``submit`` run at a time. Any of them
    may raise HandlerError; every other exception is reported as the harness's failure. ``task``, ``status``,
    ``attempt``, ``history``, ``submitted``, ``reproduction`` and ``signal_view`` must be quick (a long poll asks ten
    times a second); ``submit`` returns once the submission is accepted or refused and recorded, not once it is
    trained, or at once with ``Checking`` where that takes long; ``signal`` and ``reproduce`` start work and return.
    """

    def task(self) -> TaskView: ...

    def status(self) -> Status: ...

    def check(self, data: Path) -> CheckReply: ...

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply: ...

    def submitted(self, key: str) -> SubmitReply | None:
        """How the submission of that key stands; none: nobody knows the key, or the harness failed on it."""

    def reproduce(self, request: ReproduceRequest, data: Path, policy: Mapping[str, Path]) -> ReproductionView: ...

    def reproduction(self, id: str) -> ReproductionView | None: ...

    def methods(self, family: str | None, search: str | None) -> MethodList: ...

    def method(self, id: str) -> MethodView: ...

    def history_files(self) -> tuple[HistoryFile, ...]: ...

    def history_file(self, path: str) -> Path | None:
        """The host's file for one of ``history_files``."""

    def attempt(self, n: int) -> AttemptView | None: ...

    def history(self) -> History: ...

    def signal(self, name: str, rows: Path, attempt: int | None) -> SignalView: ...

    def signal_view(self, id: str) -> SignalView | None: ...

    def done(self) -> Status: ...


class KeptReply(Wire):
    """The reply that an idempotency key got, with what it was given for."""

    content: Digest
    """SHA-256 over the request without its key."""
    reply: SubmitReply


class Desk:
    """Where requests meet the handler: the threads it runs in, the order of submissions, the kept replies."""

    def __init__(
        self,
        handler: SubmitHandler,
        blobs: BlobStore,
        limits: Limits,
        replies: MutableMapping[str, KeptReply],
        on_error: OnError,
    ) -> None:
        self.on_error = on_error
        self.handler = handler
        self.blobs = blobs
        self.limits = limits
        self.stopping = False
        self._replies = replies
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="submit-handler")
        self._submitting = asyncio.Lock()
        self._checking: dict[str, str] = {}
        """Key → content of submissions that are neither accepted nor refused yet; the handler takes one at a time."""
        self._heavy = asyncio.Semaphore(2)

    async def call(self, function: Callable[..., _V], *arguments: Any) -> _V:
        """Run in a thread; HandlerError becomes its reply."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, *arguments)
        except HandlerError as error:
            raise Reject(error.status, error.error, error.message) from None
        except BlobRejected as error:
            status = 413 if error.reason == "too-large" else 400
            raise Reject(status, error.reason, error.message) from None

    async def call_heavy(self, function: Callable[..., _V], *arguments: Any) -> _V:
        """Like ``call``, for what reads a whole submission; leaves threads free for quick questions."""
        async with self._heavy:
            return await self.call(function, *arguments)

    def close(self) -> None:
        """Let no further call start; calls in progress end in their own time."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def blob(self, digest: str) -> Path:
        try:
            return self.blobs.path(digest)
        except KeyError:
            message = f"no blob {digest} was uploaded: send its bytes first (PUT /v1/blobs/{digest})."
            raise Reject(404, "unknown-blob", message) from None

    async def receive(self, digest: str, chunks: AsyncIterator[bytes]) -> int:
        """Store an upload; returns its size in bytes."""
        with await self.call(self.blobs.upload, digest) as upload:
            pending = bytearray()
            async for chunk in chunks:
                pending += chunk
                if len(pending) >= _WRITE_SIZE:
                    await self.call(upload.write, bytes(pending))
                    pending.clear()
            await self.call(upload.write, bytes(pending))
            return await self.call(upload.finish)

    async def submit(self, asked: Request, request: SubmitRequest, wait: float) -> SubmitReply:
        """The reply to a submission; waits for one that is still being checked."""
        reply = await self._submit(request)
        if not isinstance(reply, Checking):
            return reply
        # not under the lock: who asks meanwhile is told "busy", and need not wait for an answer
        look = lambda: self.handler.submitted(request.key)  # noqa: E731
        lost = "the harness could not run the policy again; that is no fault of yours. Submit again."
        await self.wait(asked, wait, look, lambda view: not isinstance(view, Checking), lost)
        return await self._submit(request)

    async def _submit(self, request: SubmitRequest) -> SubmitReply:
        data = self.blob(request.data)
        policy = self._policy(request.policy)
        content = _content(request)
        async with self._submitting:
            kept = self._replies.get(request.key)
            known = self._checking.get(request.key) if kept is None else kept.content
            if known not in (None, content):
                message = "this key was used for another submission: take a new key for new content."
                raise Reject(400, "bad-request", message)
            if kept is not None:
                return kept.reply
            self._checking.pop(request.key, None)
            reply = await self.call(self.handler.submit, request, data, policy)
            if isinstance(reply, Checking):
                self._checking[request.key] = content
            # A duplicate's reply need not be kept: the handler knows the content. So what is kept is
            # bounded by the caps on iterations and refusals.
            elif not isinstance(reply, Duplicate):
                keep = KeptReply(content=content, reply=reply)
                await self.call(self._replies.__setitem__, request.key, keep)
            return reply

    async def reproduce(self, request: ReproduceRequest) -> ReproductionView:
        data = self.blob(request.data)
        return await self.call_heavy(self.handler.reproduce, request, data, self._policy(request.policy))

    def _policy(self, files: tuple[PolicyFile, ...]) -> dict[str, Path]:
        paths = {file.path: self.blob(file.blob) for file in files}
        if len(paths) != len(files):
            raise Reject(400, "bad-request", "the policy names the same path twice.")
        folders = {str(parent) for path in paths for parent in Path(path).parents}
        for path in paths:
            if path in folders:
                raise Reject(400, "bad-request", f"the policy has {path} both as a file and as a folder.")
        size = sum(path.stat().st_size for path in paths.values())
        if size > self.limits.policy_bytes:
            message = f"the policy's files have {size} bytes, the most is {self.limits.policy_bytes}."
            raise Reject(413, "too-large", message)
        return paths

    async def wait(
        self,
        request: Request,
        seconds: float,
        look: Callable[[], _V | None],
        finished: Callable[[_V], bool],
        missing: str,
    ) -> _V:
        """Long poll: look until finished, time is over, the asker is gone or the server stops."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(seconds, self.limits.wait_seconds)
        while True:
            view = await self.call(look)
            if view is None:
                raise Reject(404, "not-found", missing)
            left = deadline - loop.time()
            if finished(view) or left <= 0 or self.stopping or await request.is_disconnected():
                return view
            await asyncio.sleep(min(left, self.limits.poll_seconds))


def _content(request: SubmitRequest) -> str:
    return hashlib.sha256(request.model_dump_json(exclude={"key"}).encode()).hexdigest()
