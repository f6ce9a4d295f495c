"""The submit socket: what it serves, and how it stands up to what an agent can send. Attacks are named in the
tests' names; every one of them also ends with the server serving."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_sandbox.blobs import BlobStore
from curation_sandbox.errors import SocketPathTooLong
from curation_sandbox.protocol import ErrorReply
from curation_sandbox.submit_server import KeptReply, SubmitServer, openapi_text
from submit_bench import QUICK, Bench, BenchHandler, bench, read_all, read_reply, reply_of, sha, until

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running
        assert running.still_serves()
        assert running.errors == []
        assert until(lambda: not running.leftovers())


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def shared(one_server: Bench) -> Iterator[Bench]:
    """One server for all the attacks that must not change anything; ``served`` is a fresh one."""
    yield one_server
    assert one_server.still_serves()
    assert one_server.errors == []
    assert one_server.handler.submits == 0
    assert until(lambda: not one_server.leftovers())


def post_raw(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def error_of(raw: bytes) -> tuple[int, str]:
    status, headers, body = reply_of(raw)
    assert headers["curation-protocol"] == "1"
    return status, ErrorReply.model_validate(body).error


# ------------------------------------------------------------------ what it serves


def test_task_status_and_history(shared: Bench) -> None:
    with shared.client() as client:
        task = client.get("/v1/task")
        assert task.json()["name"] == "bench"
        assert task.headers["curation-protocol"] == "1"
        assert client.get("/v1/status").json()["state"] == "open"
        assert client.get("/v1/attempts").json() == {"attempts": [], "refusals": 0}


def test_blob_check_submit_attempt(served: Bench) -> None:
    with served.client() as client:
        request = served.submission(client)
        assert client.post("/v1/check", json={"data": request["data"]}).json()["ok"] is True
        accepted = client.post("/v1/submissions", json=request)
        told = {"outcome": "accepted", "attempt": 1, "rows": 2, "notes": []}
        assert (accepted.status_code, accepted.json()) == (201, told)
        assert served.handler.policy == {"policy.py": b"print('policy')\n"}
        assert client.get("/v1/attempts/1").json()["state"] == "training"
        again = client.post("/v1/submissions", json={**request, "key": "another-key"})
        assert (again.status_code, again.json()) == (200, {"outcome": "duplicate", "attempt": 1})


def test_refusal_is_422_with_every_reason(served: Bench) -> None:
    with served.client() as client:
        reply = client.post("/v1/submissions", json=served.submission(client, b"1\nx\ny\n"))
    assert reply.status_code == 422
    assert reply.json()["outcome"] == "refused"
    assert [problem["row"] for problem in reply.json()["problems"]] == [2, 3]


def test_long_poll_ends_with_the_attempt(served: Bench) -> None:
    with served.client() as client:
        client.post("/v1/submissions", json=served.submission(client))
        short = client.get("/v1/attempts/1?wait=0.05")
        assert short.json()["state"] == "training"
        timer = threading.Timer(0.15, served.handler.finish, [1])
        timer.start()
        long = client.get("/v1/attempts/1?wait=9")
        timer.join()
    assert long.json()["state"] == "scored"
    assert long.json()["feedback"]["mean"] == 0.4


def test_long_poll_is_capped(tmp_path: Path) -> None:
    with bench(tmp_path, replace(QUICK, wait_seconds=0.1)) as served, served.client() as client:
        client.post("/v1/submissions", json=served.submission(client))
        assert client.get("/v1/attempts/1?wait=1e9").json()["state"] == "training"


def test_signal(shared: Bench) -> None:
    with shared.client() as client:
        rows = shared.put(client, b"3\n4\n")
        asked = client.post("/v1/signals", json={"name": "loss", "rows": rows})
        assert asked.json()["state"] == "working"
        ready = client.get("/v1/signals/s1?wait=1")
        assert ready.json()["values"] == [0.5, None]
        assert client.get("/v1/signals/other").status_code == 404


def test_handler_errors_keep_their_status_and_name(served: Bench) -> None:
    with served.client() as client:
        client.post("/v1/submissions", json=served.submission(client))
        busy = client.post("/v1/submissions", json=served.submission(client, b"5\n", "key-00000002"))
        assert (busy.status_code, busy.json()["error"]) == (409, "busy")
        served.handler.finish(1)
        client.post("/v1/done")
        over = client.post("/v1/submissions", json=served.submission(client, b"6\n", "key-00000003"))
        assert (over.status_code, over.json()["error"]) == (410, "run-over")


def test_our_failure_is_500_without_internals(tmp_path: Path) -> None:
    with bench(tmp_path) as served, served.client() as client:
        served.handler.broken = "secret: the sealed answers lie in /srv/grader"
        reply = client.get("/v1/task")
        assert (reply.status_code, reply.json()["error"]) == (500, "ours")
        assert reply.headers["curation-protocol"] == "1"
        assert "secret" not in reply.text
        assert "RuntimeError" not in reply.text
        assert len(served.errors) == 1
        assert "secret" in served.errors[0]
        assert served.still_serves()


def test_openapi_document_in_docs_is_current() -> None:
    assert (DOCS / "submit-protocol.openapi.json").read_text(encoding="utf-8") == openapi_text(), (
        "run: python -m curation_sandbox.submit_server > docs/submit-protocol.openapi.json"
    )


def test_protocol_page_names_every_endpoint_and_error() -> None:
    page = (DOCS / "submit-protocol.md").read_text(encoding="utf-8")
    for path, methods in json.loads(openapi_text())["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}" in page
    for error in ErrorReply.model_fields["error"].description.split("``")[1::2]:  # type: ignore[union-attr]
        assert f"`{error}`" in page


# ------------------------------------------------------------------ start and stop


def test_socket_and_folder_modes(shared: Bench) -> None:
    mode = shared.socket_path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert mode & 0o777 == 0o666
    assert shared.socket_path.parent.stat().st_mode & 0o777 == 0o755


def test_restart_on_the_same_path_replaces_a_stale_socket(tmp_path: Path) -> None:
    (tmp_path / "sock").mkdir()
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stale.bind(str(tmp_path / "sock" / "submit.sock"))
    stale.close()
    for _ in range(2):
        with bench(tmp_path) as served:
            assert served.still_serves()
        assert not served.socket_path.exists()
        assert not served.server.alive()


def test_deleted_socket_is_noticed(tmp_path: Path) -> None:
    with bench(tmp_path) as served:
        assert served.server.alive()
        served.socket_path.unlink()
        assert not served.server.alive()


def test_stop_leaves_a_successors_socket_alone(tmp_path: Path) -> None:
    with bench(tmp_path) as first, bench(tmp_path) as second:
        assert not first.server.alive()
        first.server.__exit__(None, None, None)
        assert second.server.alive()
        assert second.still_serves()


def test_too_long_path_is_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    with (
        pytest.raises(SocketPathTooLong, match="107"),
        SubmitServer(folder, BenchHandler(), BlobStore(tmp_path / "s", 1, 1)),
    ):
        pass
    assert not folder.exists()


def test_stop_is_quick_with_slowloris_connections_open(tmp_path: Path) -> None:
    """Limits so long that only the stop itself can end the connections."""
    patient = replace(QUICK, header_seconds=60, idle_seconds=60, body_seconds=60, stop_seconds=30)
    made: list[socket.socket] = []
    with bench(tmp_path, patient) as served:
        for start in (b"", b"GET /v1/sta", b"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{"):
            made.append(served.connect())
            made[-1].sendall(start)
        upload = f"PUT /v1/blobs/{sha(b'x')} HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n".encode()
        made.append(served.connect())
        made[-1].sendall(upload + b"x" * 1000)
        assert until(served.leftovers)
        begin = time.monotonic()
    assert time.monotonic() - begin < patient.stop_seconds / 10
    assert until(lambda: not served.leftovers())
    for connection in made:
        connection.close()


def test_stop_answers_a_long_poll(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as thread, bench(tmp_path) as served, served.client() as client:
        client.post("/v1/submissions", json=served.submission(client))
        asked = thread.submit(lambda: client.get("/v1/attempts/1?wait=100").json()["state"])
        time.sleep(0.1)
        served.server.__exit__(None, None, None)
        assert asked.result(timeout=5) == "training"


# ------------------------------------------------------------------ malformed


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Field required"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"data": "\xc3\x28"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 40_000, "nested too deeply"),
        (b'{"data": NaN}', "NaN"),
        (b'{"data": 1e999}', "too large"),
        (b'{"data": ' + b"9" * 100_000 + b"}", "too large"),
        (b'{"data": "a", "data": "b"}', "same key twice"),
        (b'{"data": null}', "data"),
        (b"[]", "body"),
        (b'"text"', "body"),
        (b'{"data": "' + b"a" * 64 + b'", "more": 1}', "more"),
        (b'{"data": "' + b"A" * 64 + b'"}', "data"),
        (b'{"data": "../../etc/passwd"}', "data"),
        (b'{"\\ud800": 1}', "unicode"),
        (b'{"data": "\\ud800"}', "unicode"),
        (b'{"\\u0000\\u202e": 1}', "u202e"),
        (b'\xef\xbb\xbf{"data": 1}', "JSON"),
    ],
)
def test_malformed_json_is_400_with_a_reason(shared: Bench, body: bytes, why: str) -> None:
    raw = shared.raw(post_raw("/v1/check", body))
    assert error_of(raw) == (400, "bad-request")
    assert why in reply_of(raw)[2]["message"]


def test_error_never_echoes_megabytes(shared: Bench) -> None:
    keys = b",".join(b'"%s%d": "%s"' % (b"k" * 300, n, b"v" * 300) for n in range(300))
    raw = shared.raw(post_raw("/v1/check", b"{" + keys + b"}"))
    assert error_of(raw) == (400, "bad-request")
    assert len(raw) < 4000
    assert b"vvv" not in raw


@pytest.mark.parametrize("kind", ["text/plain", "", "multipart/form-data", "application/x-www-form-urlencoded"])
def test_wrong_content_type(shared: Bench, kind: str) -> None:
    body = b'{"data": "' + b"a" * 64 + b'"}'
    head = f"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    raw = shared.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert error_of(raw) == (400, "bad-request")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
        b"hello?\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /v1/task HTTP/1.1\r\nNo colon here\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_non_http_bytes_on_the_socket(shared: Bench, junk: bytes) -> None:
    assert error_of(shared.raw(junk)) == (400, "bad-request")


def test_huge_headers(shared: Bench) -> None:
    raw = shared.raw(b"GET /v1/task HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 200_000)
    assert error_of(raw) == (400, "bad-request")


@pytest.mark.parametrize("path", ["/", "/v2/task", "/v1/task/", "/docs", "/openapi.json", "/v1/../v1/task", "/%00"])
def test_unknown_path(shared: Bench, path: str) -> None:
    assert error_of(shared.raw(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()))[0] == 404


@pytest.mark.parametrize("method", ["DELETE", "HEAD", "OPTIONS", "CONNECT", "BREW"])
def test_unknown_method(shared: Bench, method: str) -> None:
    raw = shared.raw(f"{method} /v1/task HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith((b"HTTP/1.1 405", b"HTTP/1.1 400"))
    assert b"curation-protocol: 1" in raw
    if b" 405 " in raw:
        assert b"\r\nallow: GET\r\n" in raw


@pytest.mark.parametrize("n", ["0", "-1", "1.5", "abc", "9" * 30, "9" * 5000, "%0d%0a", "1%00"])
def test_attempt_number_that_is_none(shared: Bench, n: str) -> None:
    raw = shared.raw(f"GET /v1/attempts/{n} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert error_of(raw) == (400, "bad-request")


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "abc", "", "1e400"])
def test_wait_that_is_none(shared: Bench, wait: str) -> None:
    raw = shared.raw(f"GET /v1/attempts/1?wait={wait} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert error_of(raw) == (400, "bad-request")


def test_header_injection_through_the_url(shared: Bench) -> None:
    for path in ("/v1/blobs/x%0d%0aCuration-Evil:%201", "/v1/signals/x%0d%0aCuration-Evil:%201"):
        method = "PUT" if "blobs" in path else "GET"
        raw = shared.raw(f"{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        status, headers, _ = reply_of(raw)
        assert status == 400
        assert "curation-evil" not in headers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("a" * 64),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "key", "policy", "name", "rows"]) | st.text(), inner, max_size=5)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["check", "submissions", "signals", "done"]), value=JSON, surrogates=st.booleans())
def test_random_json_never_gives_5xx(shared: Bench, path: str, value: Any, surrogates: bool) -> None:
    body = json.dumps(value, ensure_ascii=surrogates).encode("utf-8", "replace")
    raw = shared.raw(post_raw(f"/v1/{path}", body))
    status, headers, _ = reply_of(raw)
    assert status < 500
    assert headers["curation-protocol"] == "1"


# ------------------------------------------------------------------ huge, lying, slow, broken off


def test_huge_json_body(shared: Bench) -> None:
    raw = shared.raw(post_raw("/v1/check", b'{"data": "' + b"a" * 1_000_000 + b'"}'))
    assert error_of(raw) == (413, "too-large")


def test_huge_json_body_in_chunks(shared: Bench) -> None:
    head = b"POST /v1/check HTTP/1.1\r\nContent-Type: application/json\r\nHost: h\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    raw = shared.raw(head + b"10000\r\n%s\r\n" % (b" " * 65536) * 8)
    assert error_of(raw) == (413, "too-large")


def put_head(data: bytes, length: object | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"PUT /v1/blobs/{sha(data)} HTTP/1.1\r\nHost: h\r\n{size}\r\n\r\n".encode()


def test_announced_oversize_blob_is_refused_unread(shared: Bench) -> None:
    assert error_of(shared.raw(put_head(b"x", 10**15))) == (413, "too-large")


def test_unannounced_oversize_blob_is_cut_while_streaming(shared: Bench) -> None:
    before = shared.blobs.charged
    raw = shared.raw(put_head(b"x", None) + b"40000\r\n%s\r\n" % (b"x" * 262144) * 8)
    assert error_of(raw) == (413, "too-large")
    assert until(lambda: shared.blobs.charged == before)


def test_total_cap_while_streaming(tmp_path: Path) -> None:
    with bench(tmp_path, max_total=20 * 4096) as served, served.client() as client:
        for n in range(10):
            served.put(client, b"%d" % n)
        data = b"y" * 60_000
        reply = client.put(f"/v1/blobs/{sha(data)}", content=data)
        assert (reply.status_code, reply.json()["error"]) == (413, "too-large")
        assert "full" in reply.json()["message"]
        assert until(lambda: served.blobs.charged == 10 * 4096)
        assert served.put(client, b"3") == sha(b"3")  # known: still welcome


def test_content_length_that_promises_more(shared: Bench) -> None:
    with shared.connect() as made:
        made.sendall(put_head(b"abc", 100) + b"abc")
        assert error_of(read_all(made)) == (408, "too-slow")


def test_content_length_that_promises_less(shared: Bench) -> None:
    """What follows the promised bytes is not HTTP; the blob itself is complete and kept."""
    raw = shared.raw(put_head(b"abc", 3) + b"abc and more that was not announced\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 201")
    assert b"HTTP/1.1 400" in raw
    assert sha(b"abc") in shared.blobs


def test_digest_mismatch(shared: Bench) -> None:
    with shared.client() as client:
        reply = client.put(f"/v1/blobs/{sha(b'promised')}", content=b"sent")
    assert (reply.status_code, reply.json()["error"]) == (400, "digest-mismatch")
    assert sha(b"promised") not in shared.blobs
    assert sha(b"sent") not in shared.blobs


def test_known_blob_is_answered_before_its_body(shared: Bench) -> None:
    with shared.client() as client:
        shared.put(client, b"known")
    with shared.connect() as made:
        made.sendall(put_head(b"known", 900_000))
        status, _, body = reply_of(read_all(made))
    assert (status, body) == (200, {"digest": sha(b"known"), "size": 5})


@pytest.mark.parametrize("offset", [0, 1, 4096, 65_537, 299_999])
def test_disconnect_mid_upload(shared: Bench, offset: int) -> None:
    before = shared.blobs.charged
    data = b"z" * 300_000
    with shared.connect() as made:
        made.sendall(put_head(data, len(data)) + data[:offset])
        assert until(shared.leftovers)
    assert until(lambda: not shared.leftovers())
    assert until(lambda: shared.blobs.charged == before)
    assert sha(data) not in shared.blobs


def test_slowloris_headers(shared: Bench) -> None:
    with shared.connect() as made:
        made.sendall(b"GET /v1/task HTTP/1.1\r\n")
        assert error_of(drip(made, b"X-Slow: 1\r\n")) == (408, "too-slow")


def test_slowloris_headers_of_a_second_request(shared: Bench) -> None:
    """uvicorn's keep-alive timer ends with the first byte."""
    with shared.connect() as made:
        made.sendall(b"GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_reply(made).startswith(b"HTTP/1.1 200")
        made.sendall(b"GET /v1/task HTTP/1.1\r\n")
        assert error_of(drip(made, b"X-Slow: 1\r\n")) == (408, "too-slow")


def test_slowloris_silence(shared: Bench) -> None:
    with shared.connect() as made:
        assert error_of(read_all(made)) == (408, "too-slow")


def test_slowloris_body_with_pauses(shared: Bench) -> None:
    with shared.connect() as made:
        made.sendall(b"POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{")
        assert error_of(read_all(made)) == (408, "too-slow")


def test_slowloris_body_without_pauses(shared: Bench) -> None:
    """Each byte comes in time, all of them never do."""
    with shared.connect() as made:
        made.sendall(put_head(b"x", 500_000))
        assert error_of(drip(made, b"x")) == (408, "too-slow")


def drip(made: socket.socket, piece: bytes) -> bytes:
    """Send ``piece`` again and again until the server hangs up; returns what it said."""
    made.settimeout(0.05)
    for _ in range(200):
        try:
            made.sendall(piece)
            if said := made.recv(65536):
                made.settimeout(5)
                return said + read_all(made)  # its head and its body may come one after the other
            return said
        except TimeoutError:
            continue
        except BrokenPipeError:
            return read_all(made)
    raise AssertionError("the server never hung up")


def test_slow_reader_of_a_large_reply(served: Bench) -> None:
    """A reply that nobody reads holds its connection no longer than a pause may last."""
    served.handler.refusals = 0
    with served.client() as client:
        reply = client.get("/v1/task")
        assert reply.status_code == 200
    served.handler.task = _large_task(served.handler)  # type: ignore[method-assign]
    with served.connect() as made:
        made.sendall(b"GET /v1/task HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(1.0)
        assert len(read_all(made)) < 5_000_000


def _large_task(handler: BenchHandler) -> Any:
    large = handler.task().model_copy(update={"brief": "b" * 5_000_000})
    return lambda: large


# ------------------------------------------------------------------ many at once, out of order, again


def test_too_many_connections(tmp_path: Path) -> None:
    with bench(tmp_path, replace(QUICK, connections=4, header_seconds=5)) as served:
        made = [served.connect() for _ in range(4)]
        time.sleep(0.05)
        assert error_of(served.raw(b"GET /v1/task HTTP/1.1\r\nHost: h\r\n\r\n")) == (503, "busy")
        for connection in made:
            connection.close()
        assert until(served.still_serves)


def test_abandoned_long_polls_end(tmp_path: Path) -> None:
    """Neither their connections nor their questions to the handler go on."""
    asked: list[int] = []
    with bench(tmp_path, replace(QUICK, connections=4)) as served:
        with served.client() as client:
            client.post("/v1/submissions", json=served.submission(client))
        look = served.handler.attempt
        served.handler.attempt = lambda n: asked.append(n) or look(n)  # type: ignore[func-returns-value,method-assign]
        for _ in range(12):
            with served.connect() as made:
                asked.clear()
                made.sendall(b"GET /v1/attempts/1?wait=600 HTTP/1.1\r\nHost: h\r\n\r\n")
                assert until(lambda: asked)
        assert until(served.still_serves)

        def quiet() -> bool:
            before = len(asked)
            time.sleep(10 * QUICK.poll_seconds)
            return len(asked) == before

        assert until(quiet)


def test_request_rate_is_bounded(tmp_path: Path) -> None:
    with bench(tmp_path, replace(QUICK, requests_per_second=100, burst=5)) as served, served.client() as client:
        begin = time.monotonic()
        for _ in range(35):
            assert client.get("/v1/status").status_code == 200
        assert time.monotonic() - begin > 0.25  # 30 beyond the burst at 100 a second


def test_concurrent_submits_run_one_at_a_time(served: Bench) -> None:
    served.handler.submit_seconds = 0.03
    with served.client() as client:
        requests = [served.submission(client, b"%d\n" % n, f"key-0000000{n}") for n in range(8)]
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda it: client.post("/v1/submissions", json=it), requests))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 7
    assert served.handler.most_at_once == 1


def test_concurrent_replays_of_one_key_reach_the_handler_once(served: Bench) -> None:
    served.handler.submit_seconds = 0.05
    with served.client() as client:
        request = served.submission(client)
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(lambda _: client.post("/v1/submissions", json=request), range(8)))
    assert [reply.status_code for reply in replies] == [201] * 8
    assert len({reply.text for reply in replies}) == 1
    assert served.handler.submits == 1


def test_replay_of_a_refused_key_is_the_same_refusal(served: Bench) -> None:
    with served.client() as client:
        request = served.submission(client, b"x\n")
        first, second = (client.post("/v1/submissions", json=request) for _ in range(2))
    assert first.content == second.content
    assert served.handler.refusals == 1


def test_key_reuse_with_other_content(served: Bench) -> None:
    with served.client() as client:
        request = served.submission(client)
        client.post("/v1/submissions", json=request)
        others: list[dict[str, Any]] = [{"note": "other"}, {"data": request["policy"][0]["blob"]}, {"policy": []}]
        for change in others:
            reply = client.post("/v1/submissions", json={**request, **change})
            assert (reply.status_code, reply.json()["error"]) == (400, "bad-request")
            assert "key" in reply.json()["message"]
    assert served.handler.submits == 1


def test_busy_is_not_remembered_for_its_key(served: Bench) -> None:
    with served.client() as client:
        client.post("/v1/submissions", json=served.submission(client))
        request = served.submission(client, b"5\n", "key-00000002")
        assert client.post("/v1/submissions", json=request).status_code == 409
        served.handler.finish(1)
        assert client.post("/v1/submissions", json=request).status_code == 201


def test_keys_survive_a_restart_with_a_kept_mapping(tmp_path: Path) -> None:
    replies: dict[str, KeptReply] = {}
    with bench(tmp_path, replies=replies) as served, served.client() as client:
        request = served.submission(client)
        first = client.post("/v1/submissions", json=request)
    stored = {key: kept.model_dump_json() for key, kept in replies.items()}
    loaded = {key: KeptReply.model_validate_json(text) for key, text in stored.items()}
    with bench(tmp_path, replies=loaded) as served, served.client() as client:
        assert client.post("/v1/submissions", json=request).content == first.content
        assert served.handler.submits == 0


def test_submit_before_its_blobs(shared: Bench) -> None:
    with shared.client() as client:
        request = shared.submission(client)
        unknown: list[dict[str, Any]] = [{"data": "b" * 64}, {"policy": [{"path": "a.py", "blob": "c" * 64}]}]
        for change in unknown:
            reply = client.post("/v1/submissions", json={**request, **change})
            assert (reply.status_code, reply.json()["error"]) == (404, "unknown-blob")
        assert client.post("/v1/check", json={"data": "b" * 64}).status_code == 404
        assert client.post("/v1/signals", json={"name": "loss", "rows": "b" * 64}).status_code == 404
    assert shared.handler.submits == 0


def test_wait_for_an_attempt_that_never_was(shared: Bench) -> None:
    with shared.client() as client:
        reply = client.get("/v1/attempts/999?wait=600")
    assert (reply.status_code, reply.json()["error"]) == (404, "not-found")


# ------------------------------------------------------------------ the policy


@pytest.mark.parametrize(
    "path",
    [
        "../x.py", "a/../../x.py", "/etc/passwd", ".ssh/config", "a/.hidden", "", "a//b", "a/", "a\\b", "a\x00b",
        "a b.py", "a\n", "ü.py", "-rf", "a/b/c/d/e/f/g/h/i", "x" * 201, "~root/x", "C:/x",
    ],
)  # fmt: skip
def test_path_traversal_in_policy_names(shared: Bench, path: str) -> None:
    with shared.client() as client:
        request = shared.submission(client)
        request["policy"][0]["path"] = path
        reply = client.post("/v1/submissions", json=request)
    assert (reply.status_code, reply.json()["error"]) == (400, "bad-request")
    assert shared.handler.submits == 0


@pytest.mark.parametrize("paths", [["a.py", "a.py"], ["a", "a/b.py"], ["a/b/c.py", "a/b"]])
def test_policy_paths_that_collide(shared: Bench, paths: list[str]) -> None:
    with shared.client() as client:
        request = shared.submission(client)
        request["policy"] = [{"path": path, "blob": request["data"]} for path in paths]
        assert client.post("/v1/submissions", json=request).status_code == 400
    assert shared.handler.submits == 0


def test_policy_of_too_many_files(served: Bench) -> None:
    with served.client() as client:
        request = served.submission(client)
        request["policy"] = [{"path": f"f{n}.py", "blob": request["data"]} for n in range(201)]
        assert client.post("/v1/submissions", json=request).status_code == 400
        request["policy"].pop()
        assert client.post("/v1/submissions", json=request).status_code == 201


def test_policy_of_too_many_bytes(tmp_path: Path) -> None:
    """One blob named forty times is forty files to whoever writes them out."""
    with bench(tmp_path, replace(QUICK, policy_bytes=1000)) as served, served.client() as client:
        request = served.submission(client)
        large = served.put(client, b"#" * 100)
        request["policy"] = [{"path": f"f{n}.py", "blob": large} for n in range(40)]
        reply = client.post("/v1/submissions", json=request)
        assert (reply.status_code, reply.json()["error"]) == (413, "too-large")
