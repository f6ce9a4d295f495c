"""Policies that are run again: the tracer, what it hands over, and what is made of it. No container here."""

from __future__ import annotations

import json
import os
import random
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation_harness.reproduction import frame
from curation_harness.reproduction.compare import differences
from curation_harness.reproduction.history import HistoryFolder
from curation_harness.reproduction.reproducer import Reproducer
from curation_plugins.gating import Reproduction
from curation_plugins.selection import Selection, of_rows
from curation_sandbox.protocol import History
from local_policies import LocalPolicies

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

HONEST = """
import random
import threading
def unused(): pass
class Chooser:
    def rows(self): return sorted(random.Random(int(given.seed)).sample(range(400), 20))
write(Chooser().rows())
"""


@dataclass
class Workshop:
    """A reproducer on the test task's pool."""

    reproducer: Reproducer
    folder: Path

    def run(self, code: str, rows: Sequence[int] = range(20), **more: str) -> Reproduction:
        files = {"policy.py": HEAD + code, **more}
        paths = {}
        for number, (name, text) in enumerate(files.items()):
            paths[name] = self.folder / f"blob-{number}"
            paths[name].write_text(text)
        return self.reproducer.reproduce(paths, of_rows(list(rows)))


@pytest.fixture
def workshop(open_loop, tmp_path: Path) -> Iterator[Workshop]:
    with open_loop("budgets.reproduce_seconds=1.5", "submission.max_bytes=100000") as loop:
        assets = loop.parts.assets
        folder = tmp_path / "blobs"
        folder.mkdir()
        given = HistoryFolder(loop.record, lambda: History(attempts=(), refusals=0))
        runner = LocalPolicies(assets / "pool")
        yield Workshop(Reproducer(loop.parts.task, assets, given, runner, 7, tmp_path / "scratch"), folder)


def codes(found: Reproduction) -> list[str]:
    return [problem.code for problem in found.problems]


def test_an_honest_policy_makes_the_same_rows_and_its_functions_are_seen(workshop):
    assert codes(workshop.run(HONEST)) == ["reproduce-differs"]
    rows = sorted(random.Random(7).sample(range(400), 20))
    again = workshop.run(HONEST, rows)
    assert again.ok, again.problems
    assert again.seconds > 0
    assert again.digest == of_rows(rows).digest()
    assert {("policy.py", "Chooser.rows"), ("policy.py", "write"), ("policy.py", "<module>")} <= again.functions
    assert ("policy.py", "unused") not in again.functions


def test_functions_of_its_other_files_its_threads_and_its_forks_are_seen(workshop):
    code = """
import threading, parts.deep
thread = threading.Thread(target=parts.deep.in_thread); thread.start(); thread.join()
if os.fork() == 0:
    parts.deep.in_fork(); os._exit(0)
os.wait()
write(range(20))
"""
    deep = "def in_thread(): pass\ndef in_fork(): pass\ndef never(): pass\n"
    found = workshop.run(code, **{"parts/deep.py": deep, "parts/__init__.py": ""})
    assert found.ok, found.problems
    assert {name for file, name in found.functions if file == "parts/deep.py"} == {"<module>", "in_thread", "in_fork"}


ATTACKS = {
    "time-seeded": ("import random; write(random.Random(time.time()).sample(range(400), 20))", "reproduce-differs"),
    "hangs": ("time.sleep(60)", "reproduce-late"),
    "hangs-after-writing": ("write(range(20)); time.sleep(60)", "reproduce-late"),
    "fails": ("raise ValueError('no such column')", "reproduce-failed"),
    "fails-after-writing": ("write(range(20)); sys.exit(3)", "reproduce-failed"),
    "kills-itself": ("os.kill(os.getpid(), 9)", "reproduce-failed"),
    "writes-nothing": ("pass", "reproduce-output"),
    "writes-a-symlink": ("os.symlink('/etc/passwd', given.out)", "reproduce-output"),
    "writes-a-dangling-symlink": ("os.symlink('/nowhere', given.out)", "reproduce-output"),
    "writes-a-pipe": ("os.mkfifo(given.out)", "reproduce-output"),
    "writes-a-folder": ("os.mkdir(given.out)", "reproduce-output"),
    "writes-ten-million-rows": ("open(given.out, 'w').write('399\\n' * 10**7)", "reproduce-output"),
    "writes-no-rows": ("open(given.out, 'wb').write(bytes(range(256)) * 9)", "reproduce-output"),
    "kills-its-watcher": ("write(range(20)); os.kill(os.getppid(), 9)", "reproduce-died"),
    "forges-the-trace": (
        'write(range(20))\nfor fd in range(3, 50):\n  try: os.write(fd, b\'x ["policy.py", "never"]\\n\')\n'
        "  except OSError: pass",
        "reproduce-trace",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_named(workshop, name):
    code, expected = ATTACKS[name]
    found = workshop.run(code)
    assert not found.ok
    assert expected in codes(found), found.problems
    assert ("policy.py", "never") not in found.functions


def test_what_a_failed_policy_printed_is_told_without_our_own_frames(workshop):
    told = workshop.run("raise ValueError('no such column')").problems[0].message
    assert "no such column" in told
    assert "exit code 1" in told
    assert "trace.py" not in told


def test_a_policy_that_cannot_be_parsed_is_told_where(workshop):
    told = workshop.run("def broken(:\n").problems[0].message
    assert "SyntaxError" in told
    assert "policy.py" in told


def test_a_policy_that_reads_its_input_or_leaves_children_is_not_waited_for(workshop):
    """A child that holds every pipe open would keep a reader waiting for its end."""
    code = "sys.stdin.read()\nif os.fork() == 0:\n  time.sleep(60)\nwrite(range(20))"
    found = workshop.run(code)
    assert found.ok, found.problems


def test_a_policy_that_prints_a_report_of_its_own_is_not_believed(workshop):
    forged = frame_bytes(b"0\n", functions=(("policy.py", "never"),))
    code = f"sys.stdout.buffer.write({forged!r}); sys.stdout.flush(); write(range(19))"
    found = workshop.run(code)
    assert codes(found) == ["reproduce-differs"]
    assert ("policy.py", "never") not in found.functions


def test_without_an_entry_point_nothing_is_run(workshop, tmp_path):
    other = tmp_path / "main.py"
    other.write_text("print(1)")
    found = workshop.reproducer.reproduce({"main.py": other}, of_rows([1]))
    assert codes(found) == ["reproduce-no-entry"]
    assert workshop.reproducer.runner.runs == 0


def test_no_copy_of_a_policy_is_left_behind(workshop, tmp_path):
    workshop.run("write(range(20))")
    assert not (tmp_path / "scratch").exists()


# -- the tracer's report -----------------------------------------------------------------------------


def frame_bytes(output: bytes, **changed: object) -> bytes:
    report = {
        "code": 0, "late": False, "seconds": 0.1, "functions": [], "forged": 0, "said": "", "output": "whole",
        "size": len(output), **changed,
    }  # fmt: skip
    line = json.dumps(report).encode() + b"\n"
    return output + line + b"%016x" % len(line)


def read(folder: Path, *pieces: bytes, most: int = 100) -> bytes | None:
    """What a policy wrote, by the bytes that came; none: they hold no whole report."""
    out = folder / "made"
    out.unlink(missing_ok=True)
    with frame.Tail(most, folder) as tail:
        for piece in pieces:
            tail.add(piece)
        found = frame.read(tail, most, out)
    assert out.exists() == (found is not None)
    return None if found is None else out.read_bytes()


def test_a_report_is_read_from_the_end_whatever_stands_before_it(tmp_path: Path):
    for before in (b"", b"junk", frame_bytes(b"7\n"), os.urandom(1000)):
        assert read(tmp_path, before + frame_bytes(b"1\n2\n")) == b"1\n2\n"
        assert read(tmp_path, before, *(bytes([byte]) for byte in frame_bytes(b"1\n2\n"))) == b"1\n2\n"


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"0" * 16, id="length-zero"),
        pytest.param(b"f" * 16, id="length-beyond"),
        pytest.param(b"-000000000000001", id="length-negative"),
        pytest.param(b"{}\n" + b"%016x" % 3, id="not-a-report"),
        pytest.param(b"\xff" * 40 + b"%016x" % 40, id="not-text"),
        pytest.param(frame_bytes(b"1\n", size=200), id="more-than-there-is"),
        pytest.param(frame_bytes(b"1\n" * 99), id="more-than-was-asked-for"),
        pytest.param(frame_bytes(b"1\n", size=-1), id="negative-size"),
        pytest.param(frame_bytes(b"1\n", seconds=float("nan")), id="no-number"),
        pytest.param(frame_bytes(b"1\n", functions=[["a" * 500, "b"]]), id="long-names"),
        pytest.param(frame_bytes(b"1\n")[:-1], id="cut"),
    ],
)
def test_a_damaged_report_is_none(tmp_path: Path, tail: bytes):
    assert read(tmp_path, tail) is None


@pytest.mark.parametrize("size", [3, 4096, 65536, 65537, 9 * 2**20])
def test_an_endless_output_is_held_in_bounded_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int):
    monkeypatch.setattr(frame, "_REPORT_BYTES", 2000)
    monkeypatch.setattr(frame, "_PIECE", 100)
    made = os.urandom(1000)
    with frame.Tail(1000, tmp_path) as tail:
        for _ in range(max(2, 100_000 // size)):
            tail.add(b"x" * size)
        tail.add(frame_bytes(made))
        assert tail.kept == 3000
        assert os.fstat(tail._file.fileno()).st_size == 3000
        assert frame.read(tail, 1000, tmp_path / "made") is not None
    assert (tmp_path / "made").read_bytes() == made


# -- the diff ----------------------------------------------------------------------------------------


def test_equal_selections_have_no_difference():
    assert differences(of_rows([3, 1, 2]), of_rows([1, 2, 3])) == ()


def test_a_diff_names_first_rows_counts_and_weights():
    submitted = of_rows(range(20))
    made = Selection(array("q", [0, 1, 30, 31, 32]), array("d", [1.0, 2.5, 1.0, 1.0, 1.0]))
    (told,) = differences(submitted, made)
    assert "18 rows of the submission were not made again (the first: 2, 3, 4, 5, 6, 7, 8, 9, …)" in told.message
    assert "3 rows were made that are not in it (30, 31, 32)" in told.message
    assert "row 1: 1 submitted, 2.5 made" in told.message
    assert "2 are the same" in told.message


def test_what_a_policy_reads_of_the_history_does_not_change_while_it_runs(workshop):
    """The agent goes on meanwhile: which rows it buys a signal of could tell a waiting policy what to select."""
    given = workshop.reproducer.history
    given.add_signal("loss", None, [1, 2, 3], [0.1, 0.2, 0.3])
    waits = """
import json, pathlib
place = pathlib.Path(given.history, "signals", "loss.jsonl")
end = time.monotonic() + 0.8
while time.monotonic() < end and len(place.read_text().splitlines()) < 4:
    time.sleep(0.02)
write(json.loads(line)["row"] for line in place.read_text().splitlines())
"""
    late = threading.Timer(0.4, given.add_signal, ("loss", None, [9, 10], [0.5, 0.6]))
    late.start()
    found = workshop.run(waits, [1, 2, 3])
    late.join()
    assert found.ok, found.problems
    assert "10" in (given.folder / "signals" / "loss.jsonl").read_text()


def test_a_policy_is_compiled_without_the_tracers_own_future_statements(workshop):
    """Annotations are values where the policy does not say otherwise, as when the agent runs it."""
    code = "def f(x: 1 + 1): pass\nwrite(range(20) if f.__annotations__['x'] == 2 else [])\n"
    assert workshop.run(code).ok
