"""``start.py``, the main process of an agent's container: files into HOME, the relay, signals and exit statuses."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import curation_sandbox

START = Path(curation_sandbox.__file__).parent / "incontainer" / "start.py"


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-I", str(START), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / ".codex" / "deep").mkdir(parents=True)
    (folder / ".codex" / "config.toml").write_text("model = 'x'\n")
    (folder / ".codex" / "deep" / "auth.json").write_text("{}")
    (folder / "prompt.txt").write_text("look at the pool")
    return folder


# -- the program -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)])
def test_the_exit_status_is_the_programs(home: Path, script: str, status: int) -> None:
    assert run("--", "sh", "-c", script, home=home).returncode == status


def test_a_program_that_is_not_there(home: Path) -> None:
    done = run("--", "no-such-program", home=home)
    assert done.returncode == 127
    assert done.stderr == "start: no-such-program cannot be run: No such file or directory\n"


def test_stdin_is_closed(home: Path) -> None:
    assert run("--", "sh", "-c", "cat; echo end", home=home).stdout == "end\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(home: Path, number: signal.Signals) -> None:
    script = "import signal, sys, time\n"
    script += f"signal.signal({int(number)}, lambda *a: sys.exit(42))\n"
    script += "print('ready', flush=True)\ntime.sleep(60)"
    command = [sys.executable, "-I", str(START), "--", sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"HOME": str(home)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(30) == 42


# -- files -------------------------------------------------------------------------------------------


def copied(home: Path) -> dict[str, str]:
    return {path.relative_to(home).as_posix(): path.read_text() for path in home.rglob("*") if path.is_file()}


def test_files_come_into_home_readable_by_nobody_else(home: Path, files: Path) -> None:
    assert run("--files", str(files), "--", "true", home=home).returncode == 0
    assert copied(home) == {
        ".codex/config.toml": "model = 'x'\n",
        ".codex/deep/auth.json": "{}",
        "prompt.txt": "look at the pool",
    }
    assert (home / ".codex" / "config.toml").stat().st_mode & 0o777 == 0o600


def test_what_the_last_turn_wrote_there_is_replaced_and_the_rest_stays(home: Path, files: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text("model = 'mine'\nfar longer than the file that replaces it\n")
    (home / ".codex" / "session.log").write_text("kept")
    run("--files", str(files), "--", "true", home=home)
    assert copied(home)[".codex/config.toml"] == "model = 'x'\n"
    assert copied(home)[".codex/session.log"] == "kept"


def link_in_the_files_place(home: Path, outside: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").symlink_to(outside / "secret")


def link_in_the_folders_place(home: Path, outside: Path) -> None:
    (home / ".codex").symlink_to(outside)


def link_in_the_scratch_files_place(home: Path, outside: Path) -> None:
    (home / ".codex").mkdir()
    (home / ".codex" / ".config.toml.curation").symlink_to(outside / "secret")


def folder_in_the_files_place(home: Path, outside: Path) -> None:
    (home / ".codex" / "config.toml" / "inner").mkdir(parents=True)


def file_in_the_folders_place(home: Path, outside: Path) -> None:
    (home / ".codex").write_text("no folder")


def pipe_in_the_files_place(home: Path, outside: Path) -> None:
    (home / ".codex").mkdir()
    os.mkfifo(home / ".codex" / "config.toml")


def no_right_to_write(home: Path, outside: Path) -> None:
    (home / ".codex").mkdir(mode=0o500)
    home.chmod(0o500)


@pytest.mark.parametrize(
    "obstacle",
    [
        link_in_the_files_place,
        link_in_the_folders_place,
        link_in_the_scratch_files_place,
        folder_in_the_files_place,
        file_in_the_folders_place,
        pipe_in_the_files_place,
        no_right_to_write,
    ],
    ids=lambda function: function.__name__,
)
def test_obstacles_of_an_earlier_turn(
    home: Path, files: Path, tmp_path: Path, obstacle: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("untouched")
    obstacle(home, outside)
    done = run("--files", str(files), "--", "true", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / ".codex" / "config.toml").read_text() == "model = 'x'\n"
    assert not (home / ".codex").is_symlink()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "untouched"}


# -- the relay ---------------------------------------------------------------------------------------


class Gateway:
    """Stands in for the model gateway: one connection at a time, handled by ``answer``."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(200)

    def accept(self) -> socket.socket:
        self.listener.settimeout(30)
        taken, _ = self.listener.accept()
        taken.settimeout(30)
        return taken


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "llm.sock")
    yield made
    made.listener.close()


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """The program's functions, with the gateway's socket in the test's folder."""
    names = runpy.run_path(str(START))
    names["main"].__globals__["GATEWAY"] = str(tmp_path / "llm.sock")
    return names


@pytest.fixture
def port(script: Any) -> int:
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    threading.Thread(target=lambda: asyncio.run(script["relay"](listener)), daemon=True).start()
    return int(listener.getsockname()[1])


def connect(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.settimeout(30)
    return client


def all_of(stream: socket.socket) -> bytes:
    data = b""
    while piece := stream.recv(2**16):
        data += piece
    return data


def test_bytes_pass_both_ways_unchanged(gateway: Gateway, port: int) -> None:
    sent = os.urandom(3_000_000)
    with connect(port) as client:
        writer = threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR)))
        writer.start()
        with gateway.accept() as at_gateway:
            assert all_of(at_gateway) == sent
            at_gateway.sendall(sent[::-1])
        assert all_of(client) == sent[::-1]
        writer.join()


def test_pieces_are_not_collected(gateway: Gateway, port: int) -> None:
    with connect(port) as client:
        client.sendall(b"ask")
        with gateway.accept() as at_gateway:
            assert at_gateway.recv(10) == b"ask"
            for word in (b"one", b"two", b"three"):  # each is there before the next is sent
                at_gateway.sendall(word)
                assert client.recv(100) == word


def test_small_pieces_do_not_wait_for_acknowledgements(gateway: Gateway, script: Any) -> None:
    """Nagle's algorithm would hold a stream's last piece back until the client has acknowledged the one before."""
    with socket.create_server(("127.0.0.1", 0)) as listener, connect(listener.getsockname()[1]) as client:
        taken, _ = listener.accept()
        own = taken.dup()  # the relay closes its own
        taken.setblocking(False)
        served = threading.Thread(target=lambda: asyncio.run(script["serve"](taken)))
        served.start()
        client.sendall(b"ask")
        with gateway.accept() as at_gateway:
            assert at_gateway.recv(10) == b"ask"
            assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        own.close()
        served.join(30)


def test_a_gateway_that_is_gone_ends_the_connection(gateway: Gateway, port: int, tmp_path: Path) -> None:
    gateway.listener.close()
    (tmp_path / "llm.sock").unlink()
    with connect(port) as client:
        assert all_of(client) == b""


def test_a_reset_connection_frees_its_place_at_the_gateway(gateway: Gateway, port: int) -> None:
    client = connect(port)
    client.sendall(b"ask")
    with gateway.accept() as at_gateway:
        assert at_gateway.recv(10) == b"ask"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()  # with a reset
        assert all_of(at_gateway) == b""


def test_no_more_connections_than_allowed_reach_the_gateway(gateway: Gateway, port: int, script: Any) -> None:
    most = script["CONNECTIONS"]
    clients = [connect(port) for _ in range(most + 20)]
    for client in clients:
        client.sendall(b"x")
    taken = [gateway.accept() for _ in range(most)]
    gateway.listener.settimeout(0.3)
    with pytest.raises(TimeoutError):
        gateway.listener.accept()
    for stream in (*taken, *clients):
        stream.close()


def test_a_port_in_use_is_said(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        done = run("--relay", str(number), "--", "echo", json.dumps("started"), home=home)
    assert done.returncode == 125
    assert done.stderr == f"start: cannot listen on 127.0.0.1:{number}: Address already in use\n"
    assert done.stdout == ""
