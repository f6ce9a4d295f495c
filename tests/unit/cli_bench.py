"""The command line as a test calls it, and a Docker engine made of canned answers."""

from __future__ import annotations

import json
import re
import signal
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from curation_harness.cli import main
from curation_harness.planning import sandbox_check
from curation_harness.planning.prerequisites import find_image
from curation_sandbox import engine as engines

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x9b]")
"""Control characters but line ends and tabs; ESC, with which every terminal sequence begins, is among them."""


class Told(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


class Cli:
    """``harness``, in this process, with folders of the test's own; an exception it does not handle comes out."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.runs = folder / "runs"
        self.cache = folder / "cache"
        self.temporary = folder / "t"  # short: sockets lie in it
        self._capture = capture

    def __call__(self, *arguments: str) -> Told:
        self._capture.readouterr()
        before = signal.getsignal(signal.SIGTERM)
        try:
            main(list(arguments))
        except SystemExit as ended:
            out, err = self._capture.readouterr()
            return Told(int(ended.code or 0), out, err)
        finally:
            signal.signal(signal.SIGTERM, before)
        raise AssertionError("main() returned")

    def left_behind(self) -> list[str]:
        """Runs, half-made files and temporary folders that are there now; finished assets are meant to stay."""
        runs = self.runs.iterdir() if self.runs.is_dir() else ()
        half_made = (self.cache / "assets").glob(".*") if self.cache.is_dir() else ()
        mounted = [line for line in Path("/proc/mounts").read_text().splitlines() if str(self.runs) in line]
        return [*map(str, runs), *map(str, half_made), *map(str, self.temporary.iterdir()), *mounted]


def make_cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Cli:
    cli = Cli(folder, capture)
    cli.temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(cli.temporary))
    monkeypatch.setenv("CURATION_RUNS", str(cli.runs))
    monkeypatch.setenv("CURATION_CACHE", str(cli.cache))
    return cli


def sandbox_holds(cache: Path) -> None:
    """As if a container of the engine's base image had been looked at before, and everything had held: a fake engine
    has no containers."""
    with engines.connect() as engine:
        kept = sandbox_check.place(cache, find_image("base"), None, engine.host, engine.info())
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("[]")


class FakeEngine:
    """What an engine on a Unix socket answers, and what it was asked."""

    def __init__(self, version: str, api: str, image: bool) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, Any] = {
            "version": {"Version": version, "ApiVersion": api, "MinAPIVersion": "1.12"},
            "info": {"NCPU": 64, "MemTotal": 2**36, "DockerRootDir": "/var/lib/docker"},
        }
        if image:
            self._answers["json"] = {
                "Id": "sha256:" + "a" * 64,
                "Config": {"Labels": {}},
                "Size": 1,
                "Created": "2026-01-01T00:00:00Z",
                "RepoTags": ["curation-harness/base:latest"],
            }

    def answer(self, request: str) -> tuple[int, Mapping[str, Any]]:
        self.asked.append(request)
        last = request.rpartition("/")[2]
        if last in self._answers:
            return 200, self._answers[last]
        return 404, {"message": "No such image: whatever"}


@contextmanager
def fake_engine(
    place: Path, *, version: str = "24.0.7", api: str = "1.43", image: bool = False
) -> Iterator[FakeEngine]:
    """An engine at the socket ``place`` that can do nothing but answer questions."""
    engine = FakeEngine(version, api, image)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, answer = engine.answer(f"GET {self.path}")
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            engine.asked.append(f"POST {self.path}")
            self.send_error(500)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with socketserver.ThreadingUnixStreamServer(str(place), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()
