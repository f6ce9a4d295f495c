"""Attacks that reach out: the network, the engine, another run's sockets."""

from __future__ import annotations

import os
import socket
import stat
from functools import partial
from pathlib import Path
from typing import Any

from spoiling import tried

Given = dict[str, Any]


def network(given: Given) -> dict[str, str]:
    """Ways to the host's listening port, the internet, resolvers and names."""
    found = {}
    for address, port in given["addresses"]:
        found[f"tcp {address}:{port}"] = tried(partial(_connect, address, port))
    for name in ("host.docker.internal", "gateway.docker.internal", "example.org", "metadata.google.internal"):
        found[f"name {name}"] = tried(partial(socket.getaddrinfo, name, 80))
    found["udp 8.8.8.8"] = tried(_ask_a_resolver)
    return found


def _connect(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as way:
        way.settimeout(2)
        way.connect((address, port))


def _ask_a_resolver() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.sendto(b"out", ("8.8.8.8", 53))


def interfaces(given: Given) -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())


def engine(given: Given) -> dict[str, Any]:
    """Sockets in the file system, ways to the engine, and groups that would open it."""
    found = []
    for folder, _, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            continue
        for name in names:
            path = Path(folder, name)
            try:
                if stat.S_ISSOCK(path.lstat().st_mode):
                    found.append(str(path))
            except OSError:
                continue
    ways = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
    tries = {way: tried(partial(_unix, way)) for way in ways}
    return {
        "sockets": sorted(found),
        "tried": tries,
        "groups": os.getgroups(),
        "docker": Path("/usr/bin/docker").exists(),
    }


def _unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(2)
        way.connect(path)
