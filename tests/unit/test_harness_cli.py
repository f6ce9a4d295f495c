"""What commands print, and where: tables for people, JSON for programs, plain lines in a pipe."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import made_records as made
from cli_bench import CONTROL, Cli, fake_engine, make_cli, sandbox_holds
from curation_harness.cli import COMMANDS
from curation_harness.errors import RerunDiffers
from curation_harness.record.store import run_ids
from curation_sandbox import __version__, reaper
from curation_sandbox.errors import SocketPathTooLong

HARNESS = [sys.executable, "-m", "curation_harness"]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """The command, with an engine that has the image, and one finished run."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    cli = make_cli(tmp_path, monkeypatch, capfd)
    made.made_run(cli.runs, run_id="hostile", hostile=True)
    with fake_engine(tmp_path / "engine", image=True):
        yield cli


READING = [
    ("--help",),
    ("launch", "--help"),
    ("tasks",),
    ("agents",),
    ("scaffolds",),
    ("engines",),
    ("runs",),
    ("show", "hostile"),
    ("report", "hostile"),
    ("launch", "--dry-run", "--task", "probe"),
    ("completion", "bash"),
    ("--version",),
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_what_is_piped_has_no_control_character(cli: Cli, arguments: tuple[str, ...]) -> None:
    told = cli(*arguments)
    assert told.code == 0, told.err
    assert told.out.strip()
    assert not CONTROL.search(told.out + told.err)


AS_JSON = [
    ("tasks",),
    ("agents",),
    ("scaffolds",),
    ("engines",),
    ("runs",),
    ("show", "hostile"),
    ("launch", "--dry-run", "--task", "probe"),
]


@pytest.mark.parametrize("arguments", AS_JSON, ids=" ".join)
def test_json_is_all_there_is_on_stdout(cli: Cli, arguments: tuple[str, ...]) -> None:
    told = cli(*arguments, "--json")
    assert told.code == 0
    assert json.loads(told.out)
    assert told.err == ""


def test_a_row_of_a_piped_table_is_one_line(cli: Cli) -> None:
    listed = json.loads(cli("tasks", "--json").out)
    lines = cli("tasks").out.splitlines()[1:]
    assert len(lines) == len(listed)
    for line, task in zip(lines, listed, strict=True):
        assert line.startswith(task["name"])
        assert task["summary"] in line


def test_every_command_is_in_the_help_with_its_line(cli: Cli) -> None:
    text = cli("--help").out
    for name, (_, line) in COMMANDS.items():
        assert name in text
        assert line in text
        assert cli(name, "--help").code == 0


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"harness, version {__version__}\n"


# -- dry run ---------------------------------------------------------------------------------------


def test_a_dry_run_is_readable_and_makes_nothing(cli: Cli) -> None:
    before = sorted(cli.runs.rglob("*"))
    told = cli(
        "launch", "--dry-run", "--task", "probe", "--agent", "nop", "--set", "budgets.iterations=7", "--seed", "3"
    )
    assert told.code == 0
    for words in ("probe: ", "nop: true", "iterations 7", "memory 1.0 GiB", "run 3", "Nothing was started."):
        assert words in told.out
    assert "{" not in told.out
    assert len(told.out.splitlines()) <= 30
    assert sorted(cli.runs.rglob("*")) == before
    assert not cli.cache.exists()


def test_a_dry_run_fits_the_terminal_and_loses_no_word(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("launch", "--dry-run", "--task", "probe", "--agent", "nop", "--run-id", "r")
    wide = cli(*options).out
    monkeypatch.setattr("curation_harness.console.PIPE_WIDTH", 70)
    narrow = cli(*options).out
    assert max(map(len, wide.splitlines())) > 70 >= max(map(len, narrow.splitlines()))
    assert "  /pool" in wide
    assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))


def test_a_dry_run_says_what_does_not_fit_and_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    options = ("launch", "--dry-run", "--task", "probe", "--set", "limits.cpus=5000")
    told = cli(*options)
    assert told.code == 1
    assert told.out.count("MISSING") == 2
    assert "the run cannot start: processors, image." in told.out
    assert "of 5000" not in told.out
    tree = json.loads(cli(*options, "--json").out)
    assert [check["what"] for check in tree["checks"] if not check["holds"]] == ["processors", "image"]
    assert tree["fits"] is False


def test_a_temporary_folder_too_deep_for_sockets_is_told_before_anything_is_made(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    told = cli("launch", "--dry-run", "--task", "probe", "--agent", "nop")
    assert told.code == 1
    assert "sockets MISSING" in told.out
    assert "TMPDIR" in told.out
    told = cli("launch", "--task", "probe", "--agent", "nop")
    assert told.code == SocketPathTooLong.exit_code
    assert "Set TMPDIR to a folder with a shorter path." in told.err
    assert not list(cli.runs.glob("*probe*"))


def test_replay_and_submissions_at_once_are_refused_and_none_is_dropped(cli: Cli) -> None:
    told = cli("rerun", "hostile", "--replay", "--submissions")
    assert told.code == 2
    assert "each is a command of its own" in told.err


def test_against_is_about_live_reruns(cli: Cli) -> None:
    told = cli("rerun", "hostile", "--replay", "--against", "hostile")
    assert told.code == 2
    assert "--against names the new run of --live" in told.err


def test_a_rerun_prints_a_line_for_each_stage_and_nothing_an_agent_wrote_bare(cli: Cli) -> None:
    made.made_run(cli.runs, run_id="hostile-live-1", hostile=True, attempts=2)
    told = cli("rerun", "hostile", "--live", "--against", "hostile-live-1")
    assert told.code == RerunDiffers.exit_code
    lines = told.out.splitlines()
    assert lines[0].split() == ["submission", "1", "equal", "rows", "equal,", "policy", "equal"]
    assert [line.split()[:3] for line in lines if "only then" in line] == [
        ["submission", "3", "differs"],
        ["submission", "4", "differs"],
    ]
    assert lines[-2:] == ["the new run: hostile-live-1", "verdict: differs (ε = 0.005)"]
    assert not CONTROL.search(told.out)


# -- completion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_its_completion_answers(shell: str) -> None:
    script = subprocess.run([*HARNESS, "completion", shell], capture_output=True, text=True, check=True).stdout
    assert f"_HARNESS_COMPLETE={shell}_complete" in script
    words = {"bash": {"COMP_WORDS": "harness lau", "COMP_CWORD": "1"}}
    asked = words.get(shell, {"COMP_WORDS": "harness lau", "COMP_CWORD": "1" if shell == "zsh" else "lau"})
    environment = {**os.environ, **asked, "_HARNESS_COMPLETE": f"{shell}_complete"}
    answer = subprocess.run(HARNESS, env=environment, capture_output=True, text=True)
    assert "launch" in answer.stdout


def test_names_of_tasks_and_runs_are_completed(cli: Cli) -> None:
    def completed(*words: str) -> str:
        line = " ".join(["harness", *words])
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_HARNESS_COMPLETE": "bash_complete"}
        return subprocess.run(HARNESS, env={**os.environ, **asked}, capture_output=True, text=True).stdout

    assert "plain,probe\n" in completed("launch", "--task", "pro")
    assert "plain,hostile\n" in completed("show", "hos")


# -- doctor, clean ---------------------------------------------------------------------------------


def test_the_doctor_fails_without_an_engine_and_says_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    told = cli("doctor")
    assert told.code == 1
    assert "MISSING" in told.out
    assert "→" in told.out
    found = json.loads(cli("doctor", "--json").out)
    assert {"name", "holds", "detail", "fix", "required"} <= found[0].keys()


def test_the_doctor_of_the_sandbox_asks_no_provider_and_looks_at_nothing_else(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    found = json.loads(cli("doctor", "--sandbox", "--json").out)
    assert [one["name"] for one in found] == ["engine"]
    told = cli("doctor", "--sandbox")
    assert told.code == 1
    assert "model providers" not in told.out


def test_clean_removes_dead_sockets_and_half_made_files_and_nothing_else(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = cli.temporary / "curation-dead" / "s", cli.temporary / "curation-alive" / "s"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
    half = cli.cache / "assets" / ".probe-1-abc_1234"
    half.mkdir(parents=True)
    (half.parent / "probe-1.lock").touch()
    (half.parent / "probe-1").mkdir()
    with socket.socket(socket.AF_UNIX) as gone, socket.socket(socket.AF_UNIX) as server:
        gone.bind(str(dead / "submit.sock"))
        gone.close()
        server.bind(str(alive / "submit.sock"))
        server.listen()
        monkeypatch.setattr(reaper, "leftovers", lambda engine: [])  # this machine's own are not this test's
        told = cli("clean", "--dry-run")
        assert f"would remove socket folder {dead.parent}" in told.out
        assert dead.exists()
        assert cli("clean").code == 0
    assert not dead.parent.exists()
    assert not half.exists()
    assert alive.exists()
    assert (half.parent / "probe-1").exists()
    assert (cli.runs / "hostile" / "run.json").exists()


# -- signals and pipes -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_files_are_made_leaves_none(cli: Cli, number: signal.Signals) -> None:
    sandbox_holds(cli.cache)
    options = ["launch", "--task", "probe", "--agent", "nop", "--set", "assets.rows=3000000"]
    environment = {**os.environ, "TMPDIR": str(cli.temporary)}
    process = subprocess.Popen(
        [*HARNESS, *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # whoever runs the tests in the background may have had SIGINT ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    deadline = time.monotonic() + 60
    while not any((cli.cache / "assets").glob(".probe-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)  # between making the folder and minding it is a moment, whose folder is left for `harness clean`
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.rstrip().endswith("Interrupted.")
    assert "Traceback" not in err
    assert not any(path.is_dir() for path in (cli.cache / "assets").iterdir())
    assert run_ids(cli.runs) == ["hostile"]


def test_a_reader_that_stops_reading_gets_no_traceback() -> None:
    command = " ".join([*HARNESS, "tasks", "--json"])
    done = subprocess.run(["bash", "-c", f"{command} | true"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_bug_shows_its_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what we understand is put into one line."""

    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("curation_harness.cli.records.summarize", broken)
    with pytest.raises(ZeroDivisionError):
        cli("show", "hostile")


def test_debug_shows_where_an_error_came_from(cli: Cli) -> None:
    told = cli("--debug", "show", "nope")
    assert told.code == 42
    assert "Traceback" in told.err
    assert "error: no run 'nope'" in told.err
