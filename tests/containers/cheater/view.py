"""Attacks on what the container shows: keys, sockets, mounts, other processes, limits."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from talk import SOCKETS

Given = dict[str, Any]
KEY = re.compile(rb"sk-[a-z]+-[0-9a-f]{8,}")
DECOY = "sk-" + "decoy-00000000"
"""Planted by the search itself, to see that it finds keys."""


def attempt(act: Callable[[], Any]) -> str:
    """``done``, or why not."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except (ValueError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


# ---------------------------------------------------------------- keys


def keys(given: Given) -> dict[str, list[str]]:
    """Where something that looks like a key stands."""
    Path("decoy.txt").write_text(f"key={DECOY}")
    sleeper = subprocess.Popen(["sleep", "60"], env={"DECOY": DECOY})
    shouter = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", DECOY])
    time.sleep(0.3)
    found = {
        "environments": _holding(_process_files("environ")),
        "command lines": _holding(_process_files("cmdline")),
        "files": _holding(_files()),
        "memory": _in_memory({os.getpid(), sleeper.pid, shouter.pid}),
        "planted": [f"/proc/{sleeper.pid}/environ", f"/proc/{shouter.pid}/cmdline", str(Path("decoy.txt").resolve())],
    }
    for process in (sleeper, shouter):
        process.kill()
        process.wait()
    return found


def _holding(places: Iterator[str]) -> list[str]:
    found = []
    for place in places:
        try:
            with Path(place).open("rb") as file:
                data = file.read(2**24)
        except OSError:
            continue
        if KEY.search(data):
            found.append(place)
    return found


def _process_files(name: str) -> Iterator[str]:
    for pid in processes():
        yield f"/proc/{pid}/{name}"
        if name == "environ":
            for thread in Path(f"/proc/{pid}/task").iterdir():
                yield f"{thread}/{name}"


def _files() -> Iterator[str]:
    tops = "/agent /dev/shm /etc /home /mnt /opt /pool /root /run /srv /tmp /usr/local /var /workspace"
    for top in tops.split():
        for folder, _, names in os.walk(top):
            yield from (f"{folder}/{name}" for name in names if Path(folder, name).is_file())


def _in_memory(own: set[int]) -> list[str]:
    """Processes, but the cheater's, whose memory can be read and holds a key."""
    found = []
    for pid in set(processes()) - own:
        try:
            place = Path(f"/proc/{pid}")
            with (place / "maps").open() as maps, (place / "mem").open("rb", buffering=0) as memory:
                for line in maps:
                    bounds, rights = line.split()[:2]
                    start, end = (int(part, 16) for part in bounds.split("-"))
                    if not rights.startswith("rw") or end - start > 2**28:
                        continue
                    memory.seek(start)
                    if KEY.search(memory.read(end - start) or b""):
                        found.append((place / "cmdline").read_bytes().decode(errors="replace"))
        except (OSError, ValueError):
            continue
    return found


# ---------------------------------------------------------------- sockets


def sockets(given: Given) -> dict[str, str]:
    """Ways out by a socket, and what came of each."""
    tried = {}
    for address, port in given["addresses"]:
        tried[f"tcp {address}:{port}"] = attempt(lambda a=address, p=port: _tcp(a, p))
    for address in ("8.8.8.8", "172.17.0.1", "255.255.255.255", "2001:4860:4860::8888"):
        tried[f"udp {address}"] = attempt(lambda a=address: _udp(a))
    for name in given["abstract"]:
        tried[f"abstract {name}"] = attempt(lambda n=name: _unix("\0" + n))
    for path in (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/dbus/system_bus_socket",
    ):
        tried[f"unix {path}"] = attempt(lambda p=path: _unix(p))
    for name, family, kind, protocol in (
        ("vsock", 40, socket.SOCK_STREAM, 0),
        ("packet", 17, socket.SOCK_RAW, 0),
        ("raw icmp", 2, socket.SOCK_RAW, 1),
        ("ping", 2, socket.SOCK_DGRAM, 1),
        ("crypto", 38, 5, 0),
        ("key", 15, socket.SOCK_RAW, 2),
        ("xdp", 44, socket.SOCK_RAW, 0),
        ("bluetooth", 31, socket.SOCK_RAW, 1),
        ("tipc", 30, socket.SOCK_STREAM, 0),
        ("smc", 43, socket.SOCK_STREAM, 0),
    ):
        tried[name] = attempt(lambda f=family, k=kind, p=protocol: _family(f, k, p))
    return tried


def loopback(given: Given) -> list[int]:
    """Ports that answer inside."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as probe:
            answers = probe.connect_ex(("127.0.0.1", port)) == 0
            if answers and probe.getsockname() != probe.getpeername():  # a port can reach itself
                found.append(port)
    return found


def _tcp(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as way:
        way.settimeout(2)
        way.connect((address, port))


def _udp(address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        way.sendto(b"out", (address, 53))


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(2)
        way.connect(path)


def _family(family: int, kind: int, protocol: int) -> None:
    with socket.socket(family, kind, protocol) as way:
        way.settimeout(2)
        if family == 40:
            way.connect((2, 1024))  # the host
        elif family == 2:
            way.sendto(b"\x08" + bytes(7), ("8.8.8.8", 0))


def neighbours(given: Given) -> dict[str, Any]:
    """Ways to the sockets of another run, whose folder on the host is known, and to the run's own folder."""
    tried = {}
    for folder in given["neighbours"]:
        for way in ("{0}", "/proc/1/root{0}", "/proc/self/root{0}", "/run/curation/../..{0}", "/run/curation{0}"):
            for name in ("llm.sock", "submit.sock"):
                path = f"{way.format(folder)}/{name}"
                tried[path] = "too long" if len(path) > 107 else attempt(lambda p=path: _unix(p))
    own = SOCKETS / "llm.sock"
    tried |= {
        "remove the socket": attempt(lambda: own.unlink()),
        "rename the socket": attempt(lambda: own.rename(SOCKETS / "old.sock")),
        "link the socket": attempt(lambda: os.link(own, "/workspace/linked.sock")),
        "close the socket to others": attempt(lambda: own.chmod(0)),
        "a socket beside it": attempt(lambda: socket.socket(socket.AF_UNIX).bind(str(SOCKETS / "mine.sock"))),
        "take the relay's port": attempt(lambda: socket.create_server(("127.0.0.1", 8123), reuse_port=True)),
        "take the relay's port everywhere": attempt(lambda: socket.create_server(("0.0.0.0", 8123))),
    }
    return {"seen": sorted(entry.name for entry in SOCKETS.iterdir()), "tried": tried}
