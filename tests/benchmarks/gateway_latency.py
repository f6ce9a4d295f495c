"""What the model gateway adds to a request: latency to the first byte and to the whole reply, lag of streamed events,
memory.

    python tests/benchmarks/gateway_latency.py [--repeat 300] [--body 100000] [--litellm PYTHON]

One made-up provider, four ways to it, in turns within one run: direct; the gateway's Unix socket; the relay of
``start.py`` in front of it, as an agent has it; the LiteLLM proxy (PYTHON is the interpreter of an environment with
``litellm[proxy]``). Each is a process of its own, each way keeps one connection open. The request is a streamed chat
completion, by default of 100 KB, as in the middle of an agent's work; the gateway filters it and writes it into a
record.

Events carry the time at which the provider sent them; lag is from then to the client's having read them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gateway_parties
import measuring

AIM_MS = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=300)
    parser.add_argument("--body", type=int, default=100_000, help="bytes of a request, about")
    parser.add_argument("--litellm", metavar="PYTHON", help="interpreter that has litellm[proxy]")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as bench, parties(Path(bench), given.litellm) as ways:
        warm_up, whole, slow = (
            request_body(given.body, events, pause) for events, pause in ((5, 0.0), (50, 0.0), (25, 0.02))
        )
        for way in ways:
            for _ in range(20):
                way.ask(warm_up)
        for _ in range(given.repeat):  # in turns, so that the machine's moods meet all of them
            for way in ways:
                way.note(way.ask(whole))
        for _ in range(max(3, given.repeat // 30)):
            for way in ways:
                way.lags += way.ask(slow).lags
        report(ways, given.repeat, len(whole))


@dataclass
class Answer:
    first: float
    whole: float
    lags: list[float]


@dataclass
class Way:
    """One way to the provider; times in seconds."""

    name: str
    connection: http.client.HTTPConnection
    pids: tuple[int, ...] = ()
    path: str = "/v1/chat/completions"
    firsts: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)

    def ask(self, body: bytes) -> Answer:
        began = time.monotonic()
        headers = {"content-type": "application/json", "authorization": f"Bearer {gateway_parties.CLIENT_KEY}"}
        self.connection.request("POST", self.path, body, headers)
        reply = self.connection.getresponse()
        if reply.status != 200:
            raise SystemExit(f"{self.name}: HTTP {reply.status} {reply.read(500)!r}")
        first = 0.0
        lags, text, tail = [], b"", b""
        while piece := reply.read1():
            now = time.monotonic()
            first = first or now - began
            tail = tail[-80:] + piece
            text += piece
            *done, text = text.split(b"\n\n")
            lags += [now - sent for sent in map(gateway_parties.sent_at, done) if sent is not None]
        if b"[DONE]" not in tail:
            raise SystemExit(f"{self.name}: the reply broke off after {len(lags)} events")
        return Answer(first, time.monotonic() - began, lags)

    def note(self, answer: Answer) -> None:
        self.firsts.append(answer.first)
        self.wholes.append(answer.whole)

    def memory(self) -> float:
        """Resident MiB of its processes, by themselves."""
        return sum(_resident(pid) for pid in self.pids) / 2**20


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def request_body(size: int, events: int, pause: float) -> bytes:
    """A conversation; the provider reads its orders from the last message."""
    turn = {"role": "user", "content": "what the pool looks like, line by line; " * 25}
    turns = [turn] * (size // len(json.dumps(turn)))
    order = json.dumps({"events": events, "pause": pause})
    messages = [*turns, {"role": "user", "content": order}]
    return json.dumps({"model": "big", "stream": True, "messages": messages}).encode()


# -- the parties -------------------------------------------------------------------------------------


@contextmanager
def parties(folder: Path, litellm: str | None) -> Iterator[list[Way]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(command: Sequence[str], ready: str | int) -> int:
        with (folder / f"log-{len(started)}").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        if not _answers(ready, process):
            raise SystemExit(f"{command[:4]} did not start:\n{Path(log.name).read_text()[-2000:]}")
        return process.pid

    ours = [sys.executable, gateway_parties.__file__]
    provider, relay, proxy = (_free_port() for _ in range(3))
    llm = folder / "llm.sock"
    try:
        start([*ours, "provider", str(provider)], provider)
        gateway = start([*ours, "gateway", str(folder), str(provider)], str(llm))
        relayed = start([*ours, "relay", str(llm), str(relay)], relay)
        ways = [
            Way("direct", _tcp(provider)),
            Way("gateway, Unix socket", _UnixConnection(str(llm)), (gateway,)),
            Way("gateway through the relay", _tcp(relay), (gateway, relayed)),
        ]
        if litellm is not None:
            config = folder / "litellm.yaml"
            config.write_text(gateway_parties.litellm_config(provider))
            command = [str(Path(litellm).parent / "litellm"), "--config", str(config), "--port", str(proxy)]
            pid = start([*command, "--host", "127.0.0.1", "--num_workers", "1"], proxy)
            ways.append(Way("LiteLLM proxy", _tcp(proxy), (pid,)))
        yield ways
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("gateway", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def _tcp(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(ready: str | int, process: subprocess.Popen[bytes], seconds: float = 180.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        family = socket.AF_UNIX if isinstance(ready, str) else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(ready if isinstance(ready, str) else ("127.0.0.1", ready)) == 0:
                return True
        time.sleep(0.1)
    return False


# -- the report --------------------------------------------------------------------------------------


def report(ways: list[Way], repeat: int, size: int) -> None:
    print(measuring.machine())
    print(f"{repeat} requests of {size / 1000:.0f} KB each way, in turns; milliseconds, p50 / p99\n")
    head = ("way", "first byte", "added", "whole reply (50 events)", "ratio", "lag of an event", "MiB")
    direct = ways[0]
    rows = [head]
    for way in ways:
        added = [_at(way.firsts, percent) - _at(direct.firsts, percent) for percent in (50, 99)]
        rows.append(
            (
                way.name,
                _both(way.firsts),
                f"{added[0]:.2f} / {added[1]:.2f}",
                _both(way.wholes),
                f"{statistics.median(way.wholes) / statistics.median(direct.wholes):.2f}",
                _both(way.lags),
                f"{way.memory():.0f}" if way.pids else "",
            )
        )
    measuring.table(rows)
    for way in ways[1:3]:
        more = _at(way.firsts, 50) - _at(direct.firsts, 50)
        measuring.verdict(f"added to the first byte at p50, {way.name}, ms", more, AIM_MS, at_most=True)


def _at(values: Sequence[float], percent: int) -> float:
    """Percentile, in milliseconds."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] * 1000


def _both(values: Sequence[float]) -> str:
    return f"{_at(values, 50):.2f} / {_at(values, 99):.2f}"


if __name__ == "__main__":
    main()
