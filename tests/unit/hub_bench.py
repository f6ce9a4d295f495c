"""A server on loopback that speaks the Hugging Face hub's protocol, and serves plain files; it fails on request."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_FROM = 1000
"""Files of so many bytes are listed with a SHA-256, as the hub does for large ones; smaller ones by git's hash."""


@dataclass
class Faults:
    """What goes wrong."""

    break_after: dict[str, list[int]] = field(default_factory=dict)
    """Path → of each reply in turn, after how many bytes of its body the connection is cut."""
    listed_size: dict[str, int] = field(default_factory=dict)
    """Path → size that the list tells instead of the true one."""
    changed: dict[str, bytes] = field(default_factory=dict)
    """Path → content that is served instead of what the list describes."""
    busy: Counter[str] = field(default_factory=Counter)
    """Path → so many times 503 first."""
    no_ranges: bool = False
    no_etags: bool = False


@dataclass
class Hub:
    """Repositories and files there are, and what was asked."""

    address: str = ""
    models: dict[str, dict[str, bytes]] = field(default_factory=dict)
    datasets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path, Range header."""

    def url(self, name: str) -> str:
        return f"{self.address}/files/{name}"

    def fetched(self, name: str) -> list[str]:
        """Range headers of the GETs of a file, in order; empty text: from the start."""
        return [ranges for method, path, ranges in self.asked if method == "GET" and path.endswith(f"/{name}")]


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        if parts[:1] == ["api"] and parts[1] not in ("models", "datasets"):  # what the hub's client asks of itself
            return self._answer(404, b"", {})
        self.hub.asked.append((self.command, path, self.headers.get("range", "")))
        if parts[0] == "api":
            self._list(parts[1], "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif parts[0] in ("files", "cdn"):
            self._file("/".join(parts[1:]), self._content("/".join(parts[1:]), parts[0]))
        else:  # as the hub does for large files: a redirect to another place
            kind, rest = ("datasets", parts[1:]) if parts[0] == "datasets" else ("models", parts)
            self._redirect(f"{kind}/{'/'.join(rest[:2])}/{'/'.join(rest[4:])}")
        return None

    def _content(self, name: str, place: str) -> bytes | None:
        if place == "files":
            return self.hub.files.get(name)
        kind, owner, repo, *path = name.split("/")
        return getattr(self.hub, kind).get(f"{owner}/{repo}", {}).get("/".join(path))

    def _list(self, kind: str, repo: str, revision: str) -> None:
        content = getattr(self.hub, kind).get(repo)
        if repo in self.hub.gated:
            self._answer(403, b"{}", {"x-error-code": "GatedRepo", "x-error-message": "Access is restricted"})
        elif content is None or revision not in ("main", COMMIT):
            code = "RepoNotFound" if content is None else "RevisionNotFound"
            self._answer(404, b"{}", {"x-error-code": code})
        else:
            siblings = [self._sibling(name, data) for name, data in content.items()]
            told = {"id": repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
            self._answer(200, json.dumps(told).encode(), {"content-type": "application/json"})

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        size = self.hub.faults.listed_size.get(name, len(data))
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict[str, object] = {"rfilename": name, "size": size, "blobId": git}
        if size >= LFS_FROM:
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 134}
        return entry

    def _redirect(self, name: str) -> None:
        data = self._content(name, "cdn")
        if data is None:
            return self._answer(404, b"", {"x-error-code": "EntryNotFound"})
        linked = {"x-linked-etag": f'"{hashlib.sha256(data).hexdigest()}"', "x-linked-size": str(len(data))}
        elsewhere = self.hub.address.replace("127.0.0.1", "localhost")  # another host, as the hub's storage is
        return self._answer(302, b"", {"location": f"{elsewhere}/cdn/{name}", "x-repo-commit": COMMIT, **linked})

    def _file(self, name: str, data: bytes | None) -> None:
        short, faults = name.rsplit("/", 1)[-1], self.hub.faults
        if data is None:
            return self._answer(404, b"", {})
        if faults.busy[short] > 0:
            faults.busy[short] -= 1
            return self._answer(503, b"", {})
        data = faults.changed.get(short, data)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {} if faults.no_etags else {"etag": etag}
        begin = self._begin(etag)
        if begin and begin >= len(data):
            return self._answer(416, b"", {**headers, "content-range": f"bytes */{len(data)}"})
        if begin:
            headers["content-range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        cuts = faults.break_after.get(short, [])
        cut = cuts.pop(0) if cuts and self.command == "GET" else None
        return self._answer(206 if begin else 200, data[begin:], headers, cut)

    def _begin(self, etag: str) -> int:
        asked, known = self.headers.get("range", ""), self.headers.get("if-range")
        if not asked or self.hub.faults.no_ranges or known not in (None, etag):
            return 0
        return int(asked.removeprefix("bytes=").split("-")[0])

    def _answer(self, code: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
