"""``curate`` as an agent meets it: a process of its own, against a real server."""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import curation_sandbox
from curation_sandbox.submit_server import Limits
from submit_bench import Bench, bench, until

CURATE = Path(curation_sandbox.__file__).parent / "incontainer" / "curate.py"


class Agent:
    """A folder with a selection and a policy, and the command."""

    def __init__(self, home: Path, socket_path: Path) -> None:
        self.home = home
        self.socket_path = socket_path
        self.retry_seconds = 5.0
        (home / "policy").mkdir(parents=True)
        (home / "policy" / "policy.py").write_text("print(1)\n")
        (home / "rows.txt").write_text("1\n2\n")

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", str(CURATE), *argv],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "CURATION_SOCKET": str(self.socket_path),
                "CURATION_RETRY_SECONDS": str(self.retry_seconds),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *argv: str) -> tuple[int, str]:
        """Exit code, and what it printed."""
        process = self.start(*argv)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out + err

    def submit(self, *more: str) -> tuple[int, str]:
        return self.run("submit", "rows.txt", "--policy", "policy", "--note", "a note", *more)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running
        assert running.errors == []


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def rejected(one_server: Bench, tmp_path: Path) -> Iterator[Agent]:
    """An agent whose mistakes must not reach the handler; its server is shared."""
    yield Agent(tmp_path / "home", one_server.socket_path)
    assert one_server.handler.submits == 0
    assert one_server.errors == []


@pytest.fixture
def agent(served: Bench, tmp_path: Path) -> Agent:
    return Agent(tmp_path / "home", served.socket_path)


# ------------------------------------------------------------------ the ordinary way


def test_from_task_to_done(agent: Agent, served: Bench) -> None:
    assert agent.run("task")[0] == 0
    assert agent.run("check", "rows.txt") == (0, "rows.txt (2 rows) is well-formed\n")
    code, said = agent.submit()
    assert (code, "accepted as attempt 1" in said) == (0, True)
    assert served.handler.policy == {"policy.py": b"print(1)\n"}
    assert agent.run("wait", "1", "--timeout", "0.1")[0] == 3
    assert agent.run("result", "1")[0] == 3
    served.handler.finish(1)
    code, said = agent.run("wait", "1")
    assert (code, "0.4000 ± 0.0100" in said) == (0, True)
    code, said = agent.submit()
    assert (code, "attempt 1 already" in said) == (0, True)
    assert agent.run("history")[0] == 0
    assert agent.run("done")[0] == 0
    (agent.home / "rows.txt").write_text("9\n")
    assert agent.submit()[0] == 5


def test_submit_and_wait_in_one(agent: Agent, served: Bench) -> None:
    def finish() -> None:
        until(lambda: served.handler.attempts)
        served.handler.finish(1)

    timer = threading.Thread(target=finish)
    timer.start()
    code, said = agent.submit("--wait", "30")
    timer.join()
    assert code == 0
    assert "0.4000 ± 0.0100" in said


def test_exit_codes(agent: Agent, served: Bench) -> None:
    (agent.home / "bad.txt").write_text("x\n")
    assert agent.run("check", "bad.txt")[0] == 4
    assert agent.run("submit", "bad.txt", "--policy", "policy")[0] == 4
    assert agent.submit()[0] == 0
    (agent.home / "rows.txt").write_text("5\n")
    assert agent.submit()[0] == 3  # busy: attempt 1 runs
    served.handler.finish(1, failure="the disk is full")
    code, said = agent.run("wait", "1")
    assert (code, "given back" in said) == (6, True)
    assert agent.submit()[0] == 0
    served.handler.finish(2)
    (agent.home / "rows.txt").write_text("6\n")
    assert agent.submit()[0] == 5  # budget spent
    assert agent.run("result", "999")[0] == 2
    assert agent.run("frobnicate")[0] == 2
    assert agent.run("submit", "rows.txt")[0] == 2


def test_our_failure_is_exit_code_6(tmp_path: Path) -> None:
    with bench(tmp_path) as served:
        served.handler.broken = "boom"
        code, said = Agent(tmp_path / "home", served.socket_path).run("task")
    assert (code, "boom" in said) == (6, False)


@pytest.mark.parametrize("argv", [["--json", "status"], ["status", "--json"]])
def test_json_in_front_or_behind(rejected: Agent, argv: list[str]) -> None:
    code, said = rejected.run(*argv)
    assert (code, json.loads(said)["run_id"]) == (0, "r1")


def test_json_of_an_error(rejected: Agent) -> None:
    code, said = rejected.run("--json", "result", "999")
    assert (code, json.loads(said)["error"]) == (2, "not-found")


def test_signal_to_a_file(agent: Agent) -> None:
    code, said = agent.run("signal", "loss", "--rows", "rows.txt", "--out", "loss.jsonl")
    assert (code, "2 values" in said) == (0, True)
    lines = [json.loads(line) for line in (agent.home / "loss.jsonl").read_text().splitlines()]
    assert lines == [{"row": 3, "value": 0.5}, {"row": 4, "value": None}]


def test_help_documents_every_exit_code_and_command(rejected: Agent) -> None:
    code, said = rejected.run("--help")
    assert code == 0
    for number in (0, 2, 3, 4, 5, 6, 7):
        assert f"{number} " in said.partition("exit codes:")[2]
    for command in ("task", "status", "check", "submit", "wait", "result", "history", "signal", "done"):
        assert f"    {command} " in said


# ------------------------------------------------------------------ files


def test_what_a_policy_takes_along(agent: Agent, served: Bench) -> None:
    policy = agent.home / "policy"
    for name in (".git/config", "__pycache__/policy.pyc", "lib/deep.py", "lib/.env", "lib/__pycache__/x.pyc"):
        (policy / name).parent.mkdir(parents=True, exist_ok=True)
        (policy / name).write_text(name)
    assert agent.submit()[0] == 0
    assert sorted(served.handler.policy) == ["lib/deep.py", "policy.py"]


def _link(policy: Path) -> None:
    (policy / "link.py").symlink_to("/etc/passwd")


def _folder_link(policy: Path) -> None:
    (policy / "lib").symlink_to("/etc")


def _fifo(policy: Path) -> None:
    os.mkfifo(policy / "pipe.py")


def _many(policy: Path) -> None:
    for number in range(200):
        (policy / f"f{number}.py").touch()


def _large(policy: Path) -> None:
    with (policy / "data.bin").open("wb") as file:
        file.truncate(9 * 1024 * 1024)


def _odd_name(policy: Path) -> None:
    (policy / "a b.py").touch()


def _deep(policy: Path) -> None:
    (policy / "a/b/c/d/e/f/g/h").mkdir(parents=True)
    (policy / "a/b/c/d/e/f/g/h/i.py").touch()


def _empty(policy: Path) -> None:
    (policy / "policy.py").unlink()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_link, "symbolic link"),
        (_folder_link, "symbolic link"),
        (_fifo, "not a regular file"),
        (_many, "more than 200 files"),
        (_large, "8 MiB"),
        (_odd_name, "rename 'a b.py'"),
        (_deep, "at most 8 deep"),
        (_empty, "holds no file"),
    ],
)
def test_policy_that_the_harness_would_not_take(rejected: Agent, spoil: Any, says: str) -> None:
    spoil(rejected.home / "policy")
    code, said = rejected.submit()
    assert (code, says in said) == (2, True), said


@pytest.mark.parametrize("name", ["missing.txt", "policy", "pipe", "/dev/zero"])
def test_file_that_is_none(rejected: Agent, name: str) -> None:
    os.mkfifo(rejected.home / "pipe")
    code, said = rejected.run("check", name)
    assert (code, name in said) == (2, True)


def test_oversize_file_is_told_why(rejected: Agent) -> None:
    with (rejected.home / "huge.txt").open("wb") as file:
        file.truncate(5_000_000)
    code, said = rejected.run("check", "huge.txt")
    assert (code, "1000000" in said) == (2, True), said


def test_known_large_file_again(agent: Agent, served: Bench) -> None:
    """The server answers before it read the body and hangs up; that is no lost connection."""
    (agent.home / "rows.txt").write_bytes(b"1\n" * 400_000)
    assert agent.run("check", "rows.txt")[0] == 0
    agent.retry_seconds = 0
    assert agent.run("check", "rows.txt")[0] == 0
    assert len(list((served.folder / "store" / "blobs").iterdir())) == 1


# ------------------------------------------------------------------ connections


def test_no_socket_is_exit_code_7(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "home", tmp_path / "nothing.sock")
    agent.retry_seconds = 0.2
    code, said = agent.run("status")
    assert (code, "nothing.sock" in said) == (7, True)


def test_a_server_that_comes_late(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "home", tmp_path / "sock" / "submit.sock")
    agent.retry_seconds = 20
    process = agent.start("status")
    time.sleep(0.3)
    with bench(tmp_path):
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "run r1" in out) == (0, True)


def test_retry_after_a_lost_reply_sends_the_same_key(served: Bench, tmp_path: Path) -> None:
    """A relay in between loses the reply to the first submission; the second gets it, and nothing ran twice."""
    agent = Agent(tmp_path / "home", tmp_path / "relay.sock")
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as relay:
        relay.bind(str(tmp_path / "relay.sock"))
        relay.listen()
        threading.Thread(target=_relay, args=(relay, served.socket_path, seen), daemon=True).start()
        assert agent.submit()[0] == 0
    keys = {json.loads(body)["key"] for body in seen}
    assert (len(seen), len(keys), served.handler.submits) == (2, 1, 1)


def _relay(relay: socket.socket, target: Path, seen: list[bytes]) -> None:
    """Pass requests on; drop the connection in place of the first submission's reply."""
    while True:
        try:
            client, _ = relay.accept()
        except OSError:
            return
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(str(target))
            while request := _whole_message(client):
                server.sendall(request)
                reply = _whole_message(server)
                if request.startswith(b"POST /v1/submissions"):
                    seen.append(request.partition(b"\r\n\r\n")[2])
                    if len(seen) == 1:
                        break
                client.sendall(reply)


def _whole_message(sender: socket.socket) -> bytes:
    message = b""
    while b"\r\n\r\n" not in message:
        block = sender.recv(65536)
        if not block:
            return b""
        message += block
    head, _, body = message.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += sender.recv(65536)
    return head + b"\r\n\r\n" + body


# ------------------------------------------------------------------ the file itself


def test_it_is_one_executable_file_of_the_standard_library_for_python_3_9() -> None:
    text = CURATE.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env python3\n")
    assert os.access(CURATE, os.X_OK)
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [it.name for it in node.names])
    }
    assert imported <= sys.stdlib_module_names


def test_its_caps_are_the_servers() -> None:
    constants = {
        node.targets[0].id: ast.unparse(node.value)
        for node in ast.parse(CURATE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert eval(constants["MAX_POLICY_BYTES"]) == Limits().policy_bytes
    assert eval(constants["MAX_POLICY_FILES"]) == 200
