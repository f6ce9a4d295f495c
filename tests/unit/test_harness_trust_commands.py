"""`harness verify`, `export` and `import` as commands; where the root digest is told; runs that were killed late."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

import golden_records as golden
from cli_bench import Cli, make_cli
from curation_harness import provenance
from curation_harness.agent import native_log
from curation_harness.cli.outcome import tell_outcome
from curation_harness.launch import Outcome
from curation_harness.record import listing, sealing
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import summarize
from curation_harness.report.terminal import SummaryView

RUN = "golden-scripted"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    return make_cli(tmp_path, monkeypatch, capfd)


@pytest.fixture
def record(cli: Cli) -> RunRecord:
    return golden.opened(golden.NEWEST, cli.runs)


def root_of(record: RunRecord) -> str:
    found = sealing.root(record.folder)
    assert found is not None
    return found


def test_verify_tells_what_was_held_against_what(cli: Cli, record: RunRecord) -> None:
    told = cli("verify", RUN)
    assert told.code == 0, told
    assert root_of(record) in told.out
    for name in ("files", "events", "submissions", "ledger", "scores", "headline"):
        assert any(line.startswith(name) for line in told.out.splitlines()), name
    assert "everything that was checked fits" in told.out


def test_verify_in_json(cli: Cli, record: RunRecord) -> None:
    told = cli("verify", RUN, "--json", "--root", root_of(record))
    found = json.loads(told.out)
    assert (told.code, found["problem"], found["root"]) == (0, None, root_of(record))
    (record.folder / "agent.log").write_text("other")
    told = cli("verify", RUN, "--json")
    found = json.loads(told.out)
    assert told.code == 44
    assert "agent.log" in found["problem"]


def test_verify_names_the_first_thing_that_does_not_fit(cli: Cli, record: RunRecord) -> None:
    (record.folder / "agent.log").write_text("other")
    told = cli("verify", RUN)
    assert told.code == 44
    assert "agent.log is not what it was" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_verify_with_the_root_of_another_record(cli: Cli, record: RunRecord, prefix: str) -> None:
    told = cli("verify", RUN, "--root", prefix + "AB" * 32)
    assert told.code == 44
    assert "ab" * 32 in told.err


def test_verify_with_what_is_no_root(cli: Cli, record: RunRecord) -> None:
    told = cli("verify", RUN, "--root", "1234")
    assert told.code == 2
    assert "64 hexadecimal digits" in told.err


def test_export_verify_and_import_of_a_file(cli: Cli, record: RunRecord, tmp_path: Path) -> None:
    exported = cli("export", RUN, "-o", str(tmp_path))
    assert exported.code == 0, exported
    place = tmp_path / f"{RUN}.run.zip"
    assert exported.out.splitlines() == [str(place), f"Root: {root_of(record)}"]
    assert cli("verify", str(place), "--root", root_of(record)).code == 0
    elsewhere = str(tmp_path / "elsewhere")
    imported = cli("import", str(place), "--run-dir", elsewhere)
    assert imported.code == 0, imported
    assert imported.out.splitlines()[1] == f"Root: {root_of(record)}"
    assert cli("verify", RUN, "--run-dir", elsewhere, "--root", root_of(record)).code == 0
    again = cli("import", str(place), "--run-dir", elsewhere)
    assert again.code == 41
    assert "exists" in again.err


def test_a_file_that_is_no_record_is_told_so(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for command in ("verify", "import"):
        told = cli(command, str(tmp_path / "notes.txt"))
        assert told.code == 53, told
        assert "no exported record" in told.err


def test_a_size_that_is_none(cli: Cli, tmp_path: Path) -> None:
    told = cli("import", str(tmp_path / "x"), "--max-size", "much")
    assert told.code == 2
    assert "--max-size" in told.err


@pytest.mark.parametrize(
    "command", [("verify",), ("export",), ("show",), ("report",), ("finish",), ("resume",)], ids=lambda c: c[0]
)
def test_bad_records_are_one_message_and_left_alone(cli: Cli, record: RunRecord, command: tuple[str]) -> None:
    """Newer, foreign, behind a link, or two of one id."""
    newer = golden.opened("format-2-baseline", cli.runs)
    golden.edit(newer.folder / "run.json", lambda tree: tree.update(format=99))
    (cli.runs / "foreign").mkdir()
    (cli.runs / "foreign" / "run.json").write_text('{"made": "elsewhere"}')
    (cli.runs / "linked").symlink_to(record.folder)
    (cli.runs / "copy").mkdir()
    (cli.runs / "copy" / "run.json").write_bytes((record.folder / "run.json").read_bytes())
    before = {path: path.stat().st_mtime_ns for path in cli.runs.rglob("*")}
    for name, words in {
        "golden-baseline": "record format 99",
        "foreign": "foreign is no run record",
        "linked": "is a link",
        "copy": "two records with one id",
    }.items():
        told = cli(*command, name)
        assert told.code == 44, (name, told)
        assert words in told.err
        assert "Traceback" not in told.err
    assert {path: path.stat().st_mtime_ns for path in cli.runs.rglob("*")} == before


# -- the end of a run ------------------------------------------------------------------------------


def test_the_terminal_tells_the_root_in_one_line(record: RunRecord) -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(SummaryView(summarize(record)))
    assert f"Root: {root_of(record)}" in out.getvalue()


def test_the_end_of_a_run_tells_the_root(record: RunRecord, capfd: pytest.CaptureFixture[str]) -> None:
    tell_outcome(Outcome(record, status(record), None), as_json=False)
    assert root_of(record) in capfd.readouterr().out
    tell_outcome(Outcome(record, status(record), None), as_json=True)
    assert json.loads(capfd.readouterr().out)["root"] == root_of(record)


@pytest.mark.parametrize("command", ["resume", "finish"])
def test_a_run_that_was_killed_before_it_was_sealed_is_sealed(cli: Cli, record: RunRecord, command: str) -> None:
    """Its last event is there; the list, the trajectory and the report are not."""
    root = root_of(record)
    for name in ("manifest.sha256", "beside.sha256", "trajectory.json"):
        (record.folder / name).unlink()
    assert cli("verify", RUN).code == 44
    events = (record.folder / "events.jsonl").read_bytes()
    done = cli(command, RUN)
    assert done.code == 0, done
    assert root in done.out
    assert (record.folder / "events.jsonl").read_bytes() == events
    assert cli("verify", RUN, "--root", root).code == 0
    assert cli(command, RUN).code == 47  # nothing to go on with


def test_a_report_that_is_written_anew_fits_again(cli: Cli, record: RunRecord) -> None:
    assert cli("report", RUN).code == 0
    (record.folder / "report.html").write_text("somebody's")
    assert cli("verify", RUN).code == 44
    assert cli("report", RUN).code == 0
    assert cli("verify", RUN, "--root", root_of(record)).code == 0


def test_somebody_s_file_in_the_folder_costs_a_run_nothing_at_its_end(record: RunRecord) -> None:
    """Sealing goes on; `verify` names it."""
    (record.folder / ".DS_Store").write_text("")
    (record.folder / "notes.txt").write_text("mine")
    (record.folder / "link").symlink_to("/etc")
    before = root_of(record)
    assert sealing.seal(record) == before


# -- pieces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["plain", "a b", "back\\slash", "line\nend", "carriage\rreturn", "\\n", "größe", "\U0001f600", "tab\t", "a  b"],
)
def test_a_list_of_files_reads_back_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    place = tmp_path / "list"
    listed = {name: "ab" * 32, "zz": "cd" * 32}
    place.write_bytes(listing.render(listed))
    assert listing.parse(place) == listed


def test_names_that_no_list_can_hold_are_not_kept_of_an_agent_s_home(tmp_path: Path) -> None:
    """They are the agent's to choose: a record that cannot be sealed would be its way to spoil the run."""
    home, target = tmp_path / "home", tmp_path / "native" / "turn-001"
    (home / "log").mkdir(parents=True)
    (home / "log" / "good.jsonl").write_text("x")
    (home / "log" / os.fsdecode(b"bad\xff.jsonl")).write_text("x")
    native_log.keep(home, ["log/*"], target)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["good.jsonl"]


def test_packages_have_digests_of_what_was_installed() -> None:
    found = provenance.package_digests()
    assert {"numpy", "pydantic"} <= found.keys()
    assert found == provenance.package_digests.__wrapped__()
    assert all(len(digest) == 64 for digest in found.values())
    assert found.keys() <= provenance.packages().keys()
