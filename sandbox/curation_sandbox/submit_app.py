"""The endpoints of the submit protocol, and the OpenAPI document that FastAPI makes of them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from curation_sandbox.protocol import (
    PROTOCOL_VERSION,
    Accepted,
    AttemptView,
    BlobReply,
    Checking,
    CheckReply,
    CheckRequest,
    Digest,
    Duplicate,
    ErrorReply,
    History,
    HistoryFiles,
    MethodList,
    MethodView,
    Refused,
    ReproduceRequest,
    ReproductionView,
    SignalRequest,
    SignalView,
    Status,
    SubmitRequest,
    TaskView,
    Wire,
)
from curation_sandbox.submit_desk import Desk
from curation_sandbox.submit_guard import FAILED, Reject, error_body, strict_json

_STATUS_OF_REPLY: Mapping[type[Wire], int] = {Accepted: 201, Checking: 202, Duplicate: 200, Refused: 422}


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return strict_json(await self.body())
        except ValueError as error:
            raise Reject(400, "bad-request", f"{error}.") from None


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strict


def _reply(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


Wait = Annotated[
    float,
    Query(
        ge=0,
        allow_inf_nan=False,
        description="Seconds to wait for the end of the work; capped at 600.",
    ),
]
AttemptNumber = Annotated[int, PathParameter(ge=1, le=1_000_000)]
SignalId = Annotated[str, PathParameter(pattern="^[A-Za-z0-9_-]{1,80}$")]
ReproductionId = SignalId
MethodId = Annotated[str, PathParameter(pattern="^[a-z0-9][a-z0-9-]{0,79}$")]
Family = Annotated[str | None, Query(max_length=40, description="Cards of this family only.")]
Search = Annotated[str | None, Query(max_length=200, description="Cards that hold every one of these words.")]

_BLOB_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def build_app(desk: Callable[[], Desk]) -> FastAPI:
    """The application. ``desk`` is asked at each request, so that the document needs none."""

    async def failed(_: Request, error: Exception) -> Response:
        """Tell the host all, before the agent is told that, and nothing of, what went wrong."""
        desk().on_error("".join(traceback.format_exception(error)))
        return _error(500, "ours", FAILED)

    app = FastAPI(
        title="Curation Harness submit protocol",
        version=PROTOCOL_VERSION,
        description="HTTP with JSON over a Unix socket. Every reply carries `Curation-Protocol`.",
        openapi_url=None,
        redirect_slashes=False,
        responses={
            "4XX": {"model": ErrorReply, "description": "The request was wrong, or is not possible now"},
            500: {"model": ErrorReply, "description": "The harness failed, not the agent"},
            503: {"model": ErrorReply, "description": "Too many connections are open"},
        },
        exception_handlers={
            HTTPException: _on_http,
            404: _on_no_route,
            405: _on_no_route,
            RequestValidationError: _on_invalid,
            Exception: failed,
        },
    )
    app.router.route_class = _StrictRoute
    _add_questions(app, desk)
    _add_history_files(app, desk)
    _add_submissions(app, desk)
    _add_reproductions(app, desk)
    _add_signals(app, desk)
    _add_methods(app, desk)
    return app


def _add_questions(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.get("/v1/task", response_model=TaskView)
    async def task() -> Response:
        """The task: brief, rules, limits, signals."""
        return _reply(await desk().call(desk().handler.task))

    @app.get("/v1/status", response_model=Status)
    async def status() -> Response:
        """The run's state and its budgets."""
        return _reply(await desk().call(desk().handler.status))

    @app.get("/v1/attempts", response_model=History)
    async def history() -> Response:
        """All attempts with their feedback."""
        return _reply(await desk().call(desk().handler.history))

    @app.get("/v1/attempts/{n}", response_model=AttemptView)
    async def attempt(request: Request, n: AttemptNumber, wait: Wait = 0) -> Response:
        """One attempt. With `wait`, answers once it is scored or failed, or the time is over; an attempt that
        is still running is an ordinary reply with its state."""
        at = desk()
        missing = f"there is no attempt {n} in this run."
        view = await at.wait(request, wait, lambda: at.handler.attempt(n), _attempt_over, missing)
        return _reply(view)

    @app.post("/v1/done", response_model=Status)
    async def done() -> Response:
        """End the run: the best attempt becomes final. Repeating it changes nothing."""
        return _reply(await desk().call(desk().handler.done))


def _attempt_over(view: AttemptView) -> bool:
    return view.state in ("scored", "failed")


def _add_submissions(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.put(
        "/v1/blobs/{digest}",
        response_model=BlobReply,
        status_code=201,
        responses={200: {"model": BlobReply, "description": "These bytes are known already"}},
        openapi_extra=_BLOB_BODY,
    )
    async def blob(request: Request, digest: Digest) -> Response:
        """Send bytes under their SHA-256. Bytes that are known are answered at once, without being read."""
        at = desk()
        with contextlib.suppress(KeyError):
            return _reply(BlobReply(digest=digest, size=at.blobs.path(digest).stat().st_size))
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > at.blobs.max_blob:
            message = f"{announced[:20]} bytes were announced, the most for a blob is {at.blobs.max_blob}."
            raise Reject(413, "too-large", message)
        try:
            size = await at.receive(digest, request.stream())
        except ClientDisconnect:
            raise Reject(400, "bad-request", "the connection was lost during the upload.") from None
        return _reply(BlobReply(digest=digest, size=size), 201)

    @app.post("/v1/check", response_model=CheckReply)
    async def check(body: CheckRequest) -> Response:
        """Check a submission's schema. Free: trains nothing, spends nothing."""
        return _reply(await desk().call_heavy(desk().handler.check, desk().blob(body.data)))

    @app.post(
        "/v1/submissions",
        response_model=Accepted,
        status_code=201,
        responses={
            200: {"model": Duplicate, "description": "The same content was accepted before"},
            202: {"model": Checking, "description": "The policy is being run again: repeat with the same key"},
            422: {"model": Refused, "description": "Not accepted, with every reason"},
        },
    )
    async def submit(request: Request, body: SubmitRequest, wait: Wait = 0) -> Response:
        """Hand in a submission. Blobs first. Safe to repeat with the same key. Where the host runs the policy again
        first, `wait` says how long to wait for that; a 202 says that it goes on."""
        reply = await desk().submit(request, body, wait)
        return _reply(reply, _STATUS_OF_REPLY[type(reply)])


def _add_history_files(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.get("/v1/history", response_model=HistoryFiles)
    async def history_files() -> Response:
        """The files that a policy finds at `/history` when the host runs it."""
        return _reply(HistoryFiles(files=await desk().call_heavy(desk().handler.history_files)))

    @app.get("/v1/history/{path:path}", response_class=FileResponse)
    async def history_file(path: str) -> Response:
        """One of those files."""
        found = await desk().call_heavy(desk().handler.history_file, path)
        if found is None:
            raise Reject(404, "not-found", "there is no such file; GET /v1/history lists them.")
        return FileResponse(found, media_type="application/octet-stream")


def _add_reproductions(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.post("/v1/reproductions", response_model=ReproductionView)
    async def reproduce(body: ReproduceRequest) -> Response:
        """Have the host run a policy again and compare, as it would with a submission. Free; one at a time."""
        return _reply(await desk().reproduce(body))

    @app.get("/v1/reproductions/{id}", response_model=ReproductionView)
    async def reproduction(request: Request, id: ReproductionId, wait: Wait = 0) -> Response:
        """A reproduction that was asked for. With `wait`, answers once it is ready or failed, or time is over."""
        at = desk()
        missing = "nobody asked for a reproduction of that id since the harness started."
        look = at.handler.reproduction
        view = await at.wait(request, wait, lambda: look(id), _reproduction_over, missing)
        return _reply(view)


def _reproduction_over(view: ReproductionView) -> bool:
    return view.state != "working"


def _add_methods(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.get("/v1/methods", response_model=MethodList)
    async def methods(family: Family = None, search: Search = None) -> Response:
        """The method cards of this run, one line each; 404 where it has none."""
        return _reply(await desk().call(desk().handler.methods, family, search))

    @app.get("/v1/methods/{id}", response_model=MethodView)
    async def method(id: MethodId) -> Response:
        """One method card."""
        return _reply(await desk().call(desk().handler.method, id))


def _add_signals(app: FastAPI, desk: Callable[[], Desk]) -> None:
    @app.post("/v1/signals", response_model=SignalView)
    async def signal(body: SignalRequest) -> Response:
        """Ask for a signal over rows. Metered; the same question again is answered from the cache."""
        return _reply(await desk().call_heavy(desk().handler.signal, body.name, desk().blob(body.rows), body.attempt))

    @app.get("/v1/signals/{id}", response_model=SignalView)
    async def signal_view(request: Request, id: SignalId, wait: Wait = 0) -> Response:
        """A signal that was asked for. With `wait`, answers once it is ready or failed, or time is over."""
        at = desk()
        missing = "nobody asked for a signal of that id in this run."
        look = at.handler.signal_view
        view = await at.wait(request, wait, lambda: look(id), _signal_over, missing)
        return _reply(view)


def _signal_over(view: SignalView) -> bool:
    return view.state != "working"


def _error(status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(error_body(error, message), status, headers, media_type="application/json")


async def _on_http(_: Request, error: Exception) -> Response:
    if isinstance(error, Reject):
        return _error(error.status_code, error.error, str(error.detail))
    status = error.status_code if isinstance(error, HTTPException) else 400
    return _error(status, "bad-request", "the request's body or headers could not be read.")


async def _on_no_route(request: Request, error: Exception) -> Response:
    if isinstance(error, Reject):
        return await _on_http(request, error)
    status = error.status_code if isinstance(error, HTTPException) else 404
    known = (
        "the endpoints are /v1/task, status, blobs, check, submissions, attempts, history, reproductions, signals,"
        " methods, done"
    )
    allowed = error.headers if isinstance(error, HTTPException) else None  # RFC 9110, 15.5.6: a 405 names the methods
    return _error(status, "not-found", f"there is no such endpoint or method; {known}.", allowed)


async def _on_invalid(_: Request, error: Exception) -> Response:
    """Name what is wrong and where, never the value: it may be megabytes, and it is the sender's to know."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    reasons = [f"{_place(each['loc'])}: {str(each['msg'])[:200]}" for each in found[:8]]
    if len(found) > 8:
        reasons.append(f"and {len(found) - 8} more")
    # ascii(): a key of the sender's may hold lone surrogates, which no reply could carry.
    return _error(400, "bad-request", ascii("; ".join(reasons))[1:-1])


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part)[:60] for part in location[1:6]) or "body"
