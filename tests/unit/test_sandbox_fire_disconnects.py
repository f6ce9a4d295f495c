"""Connections that end at every byte of an upload and of a submission: nothing half-written stays, nothing whole is
lost."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from curation_sandbox.blobs import BlobStore
from curation_sandbox.submit_server import SubmitServer
from record_damage import record_damage
from submit_bench import QUICK, Bench, bench, read_all, reply_of, sha, until

ROOMY: Final = replace(QUICK, connections=1024)
"""None of these connections is turned away for their number."""
BODY: Final = b"1\n2\n3\n4\n5\n6\n7\n"


def plain(body: bytes) -> bytes:
    return f"PUT /v1/blobs/{sha(body)} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    head = f"PUT /v1/blobs/{sha(body)} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [body[at : at + 5] for at in range(0, len(body), 5)]
    return head + b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


def closes(made: socket.socket) -> None:
    made.close()


def says_no_more(made: socket.socket) -> None:
    """Half-closes and waits for what comes."""
    with suppress(OSError):
        made.shutdown(socket.SHUT_WR)
    read_all(made)
    made.close()


Leaves = Callable[[socket.socket], None]


def leave_at_every_byte(served: Bench, request: bytes, leaves: Leaves) -> None:
    """Every beginning of the request but the whole of it; the server has noted the end of each."""
    for end in range(len(request)):
        made = served.connect()
        made.sendall(request[:end])
        leaves(made)
    assert served.still_serves()  # a later connection: all others have been accepted
    connections = served.server._server._server.server_state.connections
    assert until(lambda: not connections)


@pytest.mark.parametrize("leaves", [closes, says_no_more])
@pytest.mark.parametrize("form", [plain, chunked])
def test_leaving_at_every_byte_of_an_upload(tmp_path: Path, form: Callable[[bytes], bytes], leaves: Leaves) -> None:
    with bench(tmp_path, ROOMY) as served:
        leave_at_every_byte(served, form(BODY), leaves)
        assert until(lambda: served.blobs.charged == 0)
        assert not served.leftovers()
        assert sha(BODY) not in served.blobs
        left_whole(served, form(BODY), leaves)
        assert served.errors == []
        assert served.still_serves()


def left_whole(served: Bench, request: bytes, leaves: Leaves) -> None:
    """Once more, and the whole of it: its bytes are there, or not at all, though nobody waited for the reply."""
    made = served.connect()
    made.sendall(request)
    leaves(made)
    assert served.still_serves()
    assert until(lambda: not served.leftovers() and served.blobs.charged in (0, 4096))
    with served.client() as client:
        assert served.put(client, BODY) == sha(BODY)
    assert served.blobs.path(sha(BODY)).read_bytes() == BODY
    assert served.blobs.charged == 4096


def test_leaving_at_every_byte_of_a_submission(open_loop, tmp_path):
    """Before a real run: no attempt, no refusal and no event of what did not come whole; one attempt of what did."""
    with open_loop("recipe.epochs=1") as loop:
        blobs = BlobStore(loop.record.folder / "blobs", 2**20, 2**24)
        errors: list[str] = []
        with SubmitServer(tmp_path / "s", loop.handler, blobs, ROOMY, on_error=errors.append) as server:
            served = Bench(None, blobs, server, tmp_path, errors)  # type: ignore[arg-type]
            with served.client() as client:
                wanted = json.dumps(served.submission(client, b"1\n2\n3\n")).encode()
            head = f"POST /v1/submissions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(wanted)}\r\n"
            request = f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode() + wanted
            before = len(loop.record.events.all())
            for leaves in (closes, says_no_more):
                leave_at_every_byte(served, request, leaves)
            assert served.still_serves()
            assert loop.record.submissions() == loop.record.refusals() == ()
            assert len(loop.record.events.all()) == before

            made = served.connect()
            made.sendall(request)
            made.close()  # the reply is lost; the submission is not: the same request gets its reply
            status, _, reply = reply_of(served.raw(request))
            assert (status, reply["outcome"], reply["attempt"]) == (201, "accepted", 1)
            assert served.raw(request) == served.raw(request)
            loop.work_through()
            assert errors == []
        assert record_damage(loop.record) == []
        assert len(loop.record.submissions()) == 1
