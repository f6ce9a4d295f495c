"""Both ends of the submit protocol on the same bytes: ``tests/golden/protocol/*.json``.

Each file is one command of ``curate``: the requests it must send, the replies it gets, its exit code, and what its
output must contain. The client is held to the requests by a socket that knows nothing but the file; the server is
held to the replies by a handler that knows nothing but the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from threading import Thread
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

import curation_sandbox
from curation_sandbox.blobs import BlobStore
from curation_sandbox.protocol import (
    AttemptView,
    CheckReply,
    History,
    MethodList,
    MethodView,
    ReproductionView,
    SignalView,
    Status,
    SubmitReply,
    TaskView,
)
from curation_sandbox.submit_server import HandlerError, SubmitServer
from submit_bench import QUICK

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "protocol").glob("*.json"))
CURATE = Path(curation_sandbox.__file__).parent / "incontainer" / "curate.py"

Exchange = dict[str, Any]


@pytest.fixture(params=GOLDEN, ids=[path.stem for path in GOLDEN])
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return found


def body_of(exchange: Exchange) -> bytes:
    if "text" in exchange:
        return str(exchange["text"]).encode()
    return as_bytes(exchange["body"]) if "body" in exchange else b""


def as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# ------------------------------------------------------------------ the client's end


@contextlib.contextmanager
def scripted(path: Path, exchanges: list[Exchange]) -> Iterator[list[Exchange]]:
    """A socket that gives the file's replies in their order; yields what it was asked."""
    asked: list[Exchange] = []

    class Script(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked.append({"method": self.command, "path": self.path, "body": body})
            exchange = exchanges[len(asked) - 1]
            reply = as_bytes(exchange["reply"])
            self.send_response_only(exchange["status"])
            self.send_header("Curation-Protocol", "1")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_PUT = do_POST = answer

    with ThreadingUnixStreamServer(str(path), Script) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def test_client_sends_the_golden_requests(golden: dict[str, Any], tmp_path: Path) -> None:
    for name, text in golden["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with scripted(tmp_path / "s", golden["exchanges"]) as asked:
        done = subprocess.run(
            [sys.executable, "-I", str(CURATE), *golden["argv"]],
            cwd=tmp_path,
            env={**os.environ, "CURATION_SOCKET": str(tmp_path / "s")},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
    expected = [{"method": e["method"], "path": e["path"], "body": body_of(e)} for e in golden["exchanges"]]
    assert asked == expected
    assert done.returncode == golden["exit"], done.stderr
    for text in golden["prints"]:
        assert text in done.stdout + done.stderr


# ------------------------------------------------------------------ the server's end


class GoldenHandler:
    """Answers every question with the exchange's reply, read as the type that the protocol asks for."""

    exchange: Exchange

    def __getattr__(self, name: str) -> Callable[..., Any]:
        kind: Any = {
            "task": TaskView,
            "status": Status,
            "done": Status,
            "check": CheckReply,
            "submit": SubmitReply,
            "submitted": SubmitReply,
            "attempt": AttemptView,
            "history": History,
            "signal": SignalView,
            "signal_view": SignalView,
            "reproduce": ReproductionView,
            "reproduction": ReproductionView,
            "methods": MethodList,
            "method": MethodView,
        }[name]
        return lambda *_: self._reply(kind)

    def _reply(self, kind: Any) -> Any:
        reply = self.exchange["reply"]
        if self.exchange["status"] >= 400 and "error" in reply:
            raise HandlerError(self.exchange["status"], reply["error"], reply["message"])
        return TypeAdapter(kind).validate_json(as_bytes(reply))


def test_server_gives_the_golden_replies(golden: dict[str, Any], tmp_path: Path) -> None:
    handler: Any = GoldenHandler()
    with SubmitServer(tmp_path, handler, BlobStore(tmp_path / "store", 10_000, 10**6), QUICK) as server:
        transport = httpx.HTTPTransport(uds=str(server.socket_path), verify=False)
        with httpx.Client(transport=transport, base_url="http://h", verify=False) as client:
            for exchange in golden["exchanges"]:
                handler.exchange = exchange
                headers = {"Content-Type": "application/json"} if "body" in exchange else {}
                reply = client.request(
                    exchange["method"], exchange["path"], content=body_of(exchange), headers=headers
                )
                assert reply.status_code == exchange["status"]
                assert reply.headers["Curation-Protocol"] == "1"
                assert reply.content == as_bytes(exchange["reply"])


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) >= 15
