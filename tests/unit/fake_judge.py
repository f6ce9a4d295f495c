"""A judge on loopback that speaks the OpenAI chat protocol and answers as a test wants."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = str | int | dict[str, Any]
"""The text of a reply, an HTTP status, or a whole body."""

_FENCED = re.compile(
    r"^<<<(?P<code>[0-9a-f]{16}) (?P<title>[A-Z0-9 ]+)\n(?P<text>.*?)\n(?P=code)>>>$", re.DOTALL | re.MULTILINE
)


class FakeJudge:
    """What was asked, and what is answered."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.base_url = ""


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Reply], model: str = "judge-1") -> Iterator[FakeJudge]:
    fake = FakeJudge(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            fake.requests.append({**body, "path": self.path})
            fake.headers.append(dict(self.headers))
            reply = fake.answer(body)
            self.send_response(reply if isinstance(reply, int) else 200)
            message = {"role": "assistant", "content": reply}
            whole = reply if isinstance(reply, dict) else {"model": model, "choices": [{"message": message}]}
            data = json.dumps(whole).encode()
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fenced(request: dict[str, Any]) -> dict[str, str]:
    """Title to text of what stands between fences in the user's message."""
    return {found["title"]: found["text"] for found in _FENCED.finditer(request["messages"][1]["content"])}


def unfenced(request: dict[str, Any]) -> str:
    """All that the judge reads as said by us: the system message, and the user's without the fenced material."""
    system, user = (message["content"] for message in request["messages"])
    return f"{system}\n{_FENCED.sub('', user)}"
