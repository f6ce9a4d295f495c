"""Attempts to reach anything but the two sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
from container_box import Box

ATTEMPT = """
import json, socket
def attempt(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as s:
            s.settimeout(2)
            s.connect((address, port))
        return "reached"
    except OSError as error:
        return type(error).__name__
print(json.dumps([attempt(a, p) for a, p in {targets!r}]))
"""


@pytest.fixture(scope="module")
def listening() -> Iterator[int]:
    """A TCP port on every address of the host."""
    with socket.create_server(("", 0), backlog=64) as server:
        yield server.getsockname()[1]


def host_addresses() -> list[str]:
    return [
        entry.address.partition("%")[0]
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family in (socket.AF_INET, socket.AF_INET6)
    ]


def test_the_hosts_own_addresses(box: Box, listening: int) -> None:
    addresses = host_addresses()
    assert addresses
    socket.create_connection(("127.0.0.1", listening), 2).close()  # the attempt could succeed
    outcomes = box.python(ATTEMPT.format(targets=[(address, listening) for address in addresses]))
    assert "reached" not in outcomes


def test_the_internet_the_metadata_service_and_resolvers(box: Box) -> None:
    targets = [("169.254.169.254", 80), ("1.1.1.1", 53), ("8.8.8.8", 443), ("127.0.0.11", 53), ("10.0.0.1", 80)]
    assert "reached" not in box.python(ATTEMPT.format(targets=targets))


def test_names(box: Box) -> None:
    code = """
import json, socket
try:
    socket.getaddrinfo("example.com", 80)
    print(json.dumps("resolved"))
except OSError as error:
    print(json.dumps(type(error).__name__))
"""
    assert box.python(code) == "gaierror"


def test_a_neighbour_container(box: Box, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    neighbour = DockerContainer(image).with_command("python3 -m http.server 8000 --directory /tmp")
    with neighbour.with_kwargs(labels={"io.curation-harness.test": "neighbour"}) as running:
        attributes = running.get_wrapped_container()
        attributes.reload()
        networks = attributes.attrs["NetworkSettings"]["Networks"]
        address = next(iter(networks.values()))["IPAddress"]
        name = attributes.attrs["Name"].strip("/")
        assert address
        assert box.python(ATTEMPT.format(targets=[(address, 8000)])) == ["OSError"]
        assert box.sh(f"getent hosts {name}").code != 0


def test_interfaces_and_routes(box: Box) -> None:
    code = """
import json, socket
routes = open("/proc/net/route").read().splitlines()[1:]
print(json.dumps([[name for _, name in socket.if_nameindex()], routes]))
"""
    assert box.python(code) == [["lo"], []]


def test_an_abstract_socket_of_the_host(box: Box) -> None:
    name = "\0curation-test-abstract"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(name)
        server.listen()
        code = f"""
import json, socket
try:
    socket.socket(socket.AF_UNIX).connect({name!r})
    print(json.dumps("reached"))
except OSError as error:
    print(json.dumps(type(error).__name__))
"""
        assert box.python(code) == "ConnectionRefusedError"


def test_loopback_inside_works(box: Box) -> None:
    """An agent's command line program talks to the relay over it."""
    code = """
import json, socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
print(json.dumps("reached"))
"""
    assert box.python(code) == "reached"


def test_the_engines_socket(box: Box) -> None:
    script = "ls /var/run/docker.sock /run/docker.sock /run/containerd /var/lib/docker 2>/dev/null"
    assert box.sh(script, user="0:0").output == b""


def test_connecting_at_once_from_many_threads(box: Box, listening: int) -> None:
    """No luck by numbers either (and the threads themselves work under the filter)."""
    codes = []
    code = ATTEMPT.format(targets=[("127.0.0.1", listening)] * 20)
    threads = [threading.Thread(target=lambda: codes.append(box.python(code))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == 3
    assert all("reached" not in outcome for outcome in codes)
