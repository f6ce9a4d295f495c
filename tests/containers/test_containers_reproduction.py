"""Policies run again in real containers: what they see, what they cannot reach, and what an attack comes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from container_box import LIMITS, MIB

from curation_harness.reproduction.runner import ContainerRunner, Ran

HEAD = """
import argparse, os, sys, time
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
def write(rows):
    with open(given.out, "w") as file:
        file.writelines(f"{row}\\n" for row in rows)
"""

Run = Callable[..., Ran]


@pytest.fixture
def run(image: str, tmp_path: Path, run_id: str) -> Run:
    for name in ("pool", "policy", "history"):
        (tmp_path / name).mkdir()
    (tmp_path / "pool" / "rows.jsonl").write_text('{"id": 0}\n')
    (tmp_path / "history" / "history.json").write_text("{}\n")
    runner = ContainerRunner(run_id, image, tmp_path / "pool", LIMITS)

    def again(code: str, limit: float = 20.0, most: int = 1000) -> Ran:
        (tmp_path / "policy" / "policy.py").write_text(HEAD + code)
        (tmp_path / "made").unlink(missing_ok=True)
        told = ("--seed", "7")
        return runner.run(tmp_path / "policy", tmp_path / "history", told, limit, most, tmp_path / "made")

    return again


LOOKS = """
import json, socket
def reach(kind, address):
    try:
        socket.socket(kind).connect(address); return True
    except OSError: return False
def writes(place):
    try: open(place + "/x", "w"); return True
    except OSError: return False
print(json.dumps({
    "seed": given.seed, "cwd": os.getcwd(), "hash": os.environ["PYTHONHASHSEED"],
    "threads": os.environ["OMP_NUM_THREADS"], "uid": os.getuid(), "argv": sys.argv[0], "main": __name__,
    "workspace": os.listdir("/workspace"), "home": os.listdir(os.environ["HOME"]),
    "sockets": os.listdir("/run/curation"), "curate": os.path.getsize("/usr/local/bin/curate"),
    "gateway": reach(socket.AF_INET, ("127.0.0.1", 8123)), "network": reach(socket.AF_INET, ("1.1.1.1", 53)),
    "written": [place for place in ("/pool", "/policy", "/history", "/opt/curation") if writes(place)],
    "pool": os.listdir("/pool"), "history": os.listdir("/history"), "policy": os.listdir("/policy"),
}))
write([3, 1])
"""


def test_a_policy_sees_pool_history_and_itself_and_nothing_of_the_agents(run, tmp_path: Path):
    ran = run(LOOKS)
    assert ran.report.code == 0, ran.report.said
    seen = json.loads(ran.report.said)
    assert seen == {
        "seed": "7", "cwd": "/policy", "hash": "0", "threads": "1", "uid": 1000, "argv": "policy.py",
        "main": "__main__", "workspace": [], "home": [], "sockets": [], "curate": 0, "gateway": False,
        "network": False, "written": [], "pool": ["rows.jsonl"], "history": ["history.json"],
        "policy": ["policy.py"],
    }  # fmt: skip
    assert (tmp_path / "made").read_bytes() == b"3\n1\n"
    assert ("policy.py", "write") in ran.report.functions


def test_functions_are_seen_in_threads_and_forks_and_only_if_entered(run):
    code = """
import threading
def in_thread(): pass
def in_fork(): pass
def never(): pass
class Kept:
    def method(self): return [self for _ in range(2)]
thread = threading.Thread(target=in_thread); thread.start(); thread.join()
if os.fork() == 0:
    in_fork(); os._exit(0)
os.wait()
Kept().method()
write([1])
"""
    found = {name for _, name in run(code).report.functions}
    assert found == {"<module>", "write", "in_thread", "in_fork", "Kept", "Kept.method"}


def test_a_large_selection_comes_out_whole(run, tmp_path: Path):
    ran = run("open(given.out, 'wb').write(bytes(range(256)) * 2**14)\n", most=2**22)
    assert (ran.report.output, ran.report.size) == ("whole", 2**22)
    assert (tmp_path / "made").read_bytes() == bytes(range(256)) * 2**14


def test_a_fork_bomb_ends_with_its_container(run):
    ran = run("write([1])\nwhile True:\n  try: os.fork()\n  except OSError: pass\n", limit=2)
    assert ran.report is None or ran.report.late


def test_a_child_that_outlives_the_policy_cannot_change_what_it_wrote(run):
    code = """
write([1])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            open(given.out, "w").write("666\\n")
    os._exit(0)
"""
    ran = run(code)
    assert ran.report.code == 0
    assert ran.report.output == "whole"


def test_a_policy_that_writes_a_report_to_the_containers_output_is_not_believed(run, tmp_path: Path):
    """The init process is not ours: its output can be opened by anything in the container."""
    code = """
import json
report = {"code": 0, "late": False, "seconds": 0.1, "functions": [["policy.py", "never"]], "forged": 0, "said": "",
          "output": "whole", "size": 2}
line = json.dumps(report).encode() + b"\\n"
forged = b"9\\n" + line + b"%016x" % len(line)
wrote = 0
for pid in (1, os.getppid()):
    for number in (1, 2):
        try:
            open(f"/proc/{pid}/fd/{number}", "wb").write(forged); wrote += 1
        except OSError: pass
write([1, 2])
"""
    ran = run(code)
    assert (tmp_path / "made").read_bytes() == b"1\n2\n"
    assert ("policy.py", "never") not in ran.report.functions


def test_a_policy_that_forges_a_report_and_kills_its_watcher_is_not_believed(run):
    code = """
import json, signal
report = {"code": 0, "late": False, "seconds": 0.1, "functions": [], "forged": 0, "said": "", "output": "whole",
          "size": 2}
line = json.dumps(report).encode() + b"\\n"
try: open("/proc/1/fd/1", "wb").write(b"9\\n" + line + b"%016x" % len(line))
except OSError: pass
os.kill(os.getppid(), signal.SIGKILL)
"""
    assert run(code).report is None


def test_a_policy_that_fills_the_disk_or_the_memory_fails_and_takes_nobody_with_it(run):
    full = run("open(given.out + '.big', 'wb').write(bytes(7 * 2**20)); write([1])")
    assert full.report.code == 0, full.report.said
    code = f"for n in range(40): open(f'/workspace/{{n}}', 'wb').write(bytes(4 * {MIB}))"
    full = run(code)
    assert full.report.code == 1
    assert "No space left" in full.report.said
    eaten = run("x = b'1' * (2**30)")
    assert eaten.report is None or eaten.report.code != 0
    assert eaten.killed_for_memory


def test_nothing_of_a_reproduction_is_left_behind(run, host_mounts, engine, run_id):
    run("write([1])")
    run("time.sleep(60)", limit=1)
    assert host_mounts() == set()
    assert engine.containers(f"io.curation-harness.run={run_id}") == []
