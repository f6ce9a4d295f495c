"""``harness runs``: fast with a thousand records, and never behind what they say."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import made_records as made
from cli_bench import CONTROL, Cli, make_cli
from curation_harness.record import run_lines
from curation_harness.record.run_lines import Line, lines
from curation_harness.record.store import RunRecord

MANY = 1000


def copy(record: RunRecord, run_id: str) -> Path:
    """The same run under another id; its files are shared, but for what tells the id and what is appended to."""
    folder = record.folder.with_name(run_id)
    shutil.copytree(record.folder, folder, copy_function=os.link)
    for name in ("run.json", "events.jsonl"):
        text = (record.folder / name).read_text()
        (folder / name).unlink()
        (folder / name).write_text(text.replace(f'"{record.spec.run_id}"', f'"{run_id}"'))
    return folder


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of that many finished runs."""
    runs = tmp_path_factory.mktemp("many") / "runs"
    first = made.made_run(runs, "run-0000", attempts=2)
    for number in range(1, MANY):
        copy(first, f"run-{number:04d}")
    return runs


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the records that were opened."""
    seen: list[str] = []
    real = RunRecord.open_run

    def open_run(folder: Path) -> RunRecord:
        seen.append(folder.name)
        return real(folder)

    monkeypatch.setattr(RunRecord, "open_run", staticmethod(open_run))
    return seen


def seconds(runs: Path, cache: Path) -> float:
    """Of processor time: others work on the machine too."""
    begun = time.process_time()
    lines(runs, cache)
    return time.process_time() - begun


def test_a_second_look_at_a_thousand_runs_opens_none(thousand: Path, opened: list[str]) -> None:
    cache = thousand.parent / "cache"
    first = seconds(thousand, cache)
    assert len(opened) == MANY
    opened.clear()
    again = min(seconds(thousand, cache) for _ in range(3))
    assert opened == []
    assert again < first / 3, (again, first)
    found = lines(thousand, cache)
    assert len({line.run for line in found.values()}) == MANY
    assert {line.status for line in found.values()} == {"scored"}


def test_a_thousand_runs_cost_no_more_each_than_a_hundred(thousand: Path, tmp_path: Path) -> None:
    hundred = tmp_path / "hundred"
    hundred.mkdir()
    for folder in sorted(thousand.iterdir())[:100]:
        shutil.copytree(folder, hundred / folder.name, copy_function=os.link)
    cost = []
    for runs in (hundred, thousand):
        lines(runs, thousand.parent / "cache")  # made, if the test above did not run
        cost.append(min(seconds(runs, thousand.parent / "cache") for _ in range(3)))
    assert cost[1] < 2 * (MANY / 100) * cost[0], cost


def test_only_what_changed_is_read_again(tmp_path: Path, opened: list[str]) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    first = made.made_run(runs, "one", attempts=1)
    made.made_run(runs, "two", attempts=1)
    assert [line.attempts for line in lines(runs, cache).values()] == [1, 1]
    made.write_attempt(first, 2)
    made.write_score(first, 2, 0.9)
    opened.clear()
    found = lines(runs, cache)
    assert opened == ["one"]
    assert (found["one"].attempts, found["two"].attempts) == (2, 1)
    assert float(found["one"].best_public or 0) > float(found["two"].best_public or 1)


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", "attempts/001/result.json", "headline.json"])
def test_a_record_that_was_damaged_since_is_told(tmp_path: Path, name: str) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    record = made.made_run(runs, attempts=1)
    assert lines(runs, cache)["run-1"].status == "scored"
    (record.folder / name).write_text('{"no": "such thing"}\n')
    assert lines(runs, cache)["run-1"].status.startswith("unreadable")


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[]", b'{"version": "0", "runs": {}}', b"\xff"])
def test_a_spoilt_cache_costs_time_and_nothing_else(tmp_path: Path, spoilt: bytes) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made.made_run(runs, attempts=1)
    right = lines(runs, cache)
    (kept,) = (cache / run_lines.FOLDER).iterdir()
    kept.write_bytes(spoilt)
    assert lines(runs, cache) == right
    shutil.rmtree(cache)
    cache.write_text("no folder")
    assert lines(runs, cache) == right


def test_whether_a_run_goes_on_is_seen_now(tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    record = RunRecord.create(runs, made.made_spec(), None)

    def now() -> Line:
        return lines(runs, cache)["run-1"]

    assert now().status == "unscored"
    assert not (record.folder / "run.lock").exists(), "looking writes nothing"
    with record.lock():
        assert now().status == "running"
    assert now().status == "unscored"
    assert not now().ended


# -- a stamp ---------------------------------------------------------------------------------------------


def with_another_agent(record: RunRecord) -> bytes:
    """The bytes of a run.json that says something else, and is as long."""
    before = (record.folder / "run.json").read_bytes()
    name = record.spec.agent.name
    other = before.replace(f'"{name}"'.encode(), f'"{name[:-1]}X"'.encode())
    assert len(other) == len(before)
    assert other != before
    return other


def test_other_bytes_of_the_same_size_are_noticed_by_their_time(tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    record = made.made_run(runs, attempts=1)
    before = lines(runs, cache)["run-1"]
    place = record.folder / "run.json"
    known = place.stat()
    place.write_bytes(with_another_agent(record))  # into the same file
    os.utime(place, ns=(known.st_atime_ns, known.st_mtime_ns + 1))
    assert (place.stat().st_size, place.stat().st_ino) == (known.st_size, known.st_ino)
    assert lines(runs, cache)["run-1"].agent not in (None, before.agent)


def test_another_file_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    """Unpacked from an archive, or copied with its times."""
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    record = made.made_run(runs, attempts=1)
    before = lines(runs, cache)["run-1"]
    place, other = record.folder / "run.json", tmp_path / "other.json"
    known = place.stat()
    other.write_bytes(with_another_agent(record))
    os.utime(other, ns=(known.st_atime_ns, known.st_mtime_ns))
    other.replace(place)
    assert (place.stat().st_size, place.stat().st_mtime_ns) == (known.st_size, known.st_mtime_ns)
    assert lines(runs, cache)["run-1"].agent not in (None, before.agent)


# -- records that are damaged, or somebody else's --------------------------------------------------------


def changed(record: RunRecord, change: Callable[[dict[str, Any]], object]) -> None:
    """With another run.json, as somebody may hand it on."""
    place = record.folder / "run.json"
    tree = json.loads(place.read_text())
    change(tree)
    place.write_text(json.dumps(tree))


def scoring(**mean_of: str) -> dict[str, Any]:
    """A run that says which mean its scores are."""
    return {"benchmarks": made.BENCHMARKS, "graded": [], "worst": [], "sealed_only": [], "mean_of": mean_of}


def test_a_folder_in_a_file_s_place_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made.made_run(runs, "good", attempts=1)
    events = made.made_run(runs, "bad", attempts=1).folder / "events.jsonl"
    events.rename(tmp_path / "events.jsonl")
    events.mkdir()
    for _ in range(2):
        found = lines(runs, cache)
        assert found["good"].status == "scored"
        assert found["bad"].status == f"unreadable: {events}: Is a directory"


@pytest.mark.parametrize("data", [{}, {"status": 5}, {"status": ["scored"]}, {"status": "a word"}])
def test_an_end_that_says_no_status_does_not_hide_the_other_runs(tmp_path: Path, data: dict[str, Any]) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made.made_run(runs, "good", attempts=1)
    made.made_run(runs, "bad", attempts=1).events.append("ended", **data)
    found = lines(runs, cache)
    assert found["good"].status == "scored"
    assert found["bad"].status.startswith("unreadable: events.jsonl, line ")


def test_a_name_that_is_no_utf_8_does_not_hide_the_other_runs(tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made.made_run(runs, "good", attempts=1)
    odd = made.made_run(runs, "odd", attempts=1)
    (odd.folder / "attempts" / os.fsdecode(b"x\xff")).mkdir()
    assert {line.status for line in lines(runs, cache).values()} == {"scored"}


def test_what_could_not_be_read_is_looked_at_again(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mode or a disk is mended without a new stamp of any file."""
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    made.made_run(runs, attempts=1)

    def refuse(folder: Path) -> RunRecord:
        raise PermissionError(13, "Permission denied", str(folder))

    with monkeypatch.context() as context:
        context.setattr(RunRecord, "open_run", staticmethod(refuse))
        assert lines(runs, cache)["run-1"].status == f"unreadable: {runs / 'run-1'}: Permission denied"
    assert lines(runs, cache)["run-1"].status == "scored"
    opened.clear()
    assert lines(runs, cache)["run-1"].status == "scored"
    assert opened == []


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    return make_cli(tmp_path, monkeypatch, capfd)


def test_what_a_foreign_record_says_reaches_no_terminal_raw(cli: Cli) -> None:
    record = made.made_run(cli.runs, "foreign", attempts=1)
    escape = "\x1b[31mX\x1b]0;title\x07\u202e"

    def hostile(tree: dict[str, Any]) -> None:
        tree["run_id"] = f"r{escape}"
        tree["agent"]["name"] = f"a{escape}"
        tree["scoring"] = scoring(public=f"p{escape}", sealed="s")

    changed(record, hostile)
    told = cli("runs")
    assert told.code == 0
    assert not CONTROL.search(told.out)
    assert "\u202e" not in told.out
    _, row, means = told.out.splitlines()
    assert row.startswith("foreign (holds run rX)")
    assert "aX" in row.split()
    assert means.startswith("made-tiny: A public score is the pX, ")


def test_two_records_of_one_id_are_both_named(cli: Cli) -> None:
    first = made.made_run(cli.runs, "one", attempts=1)
    shutil.copytree(first.folder, cli.runs / "one (copy)")
    rows = cli("runs").out.splitlines()[1:]
    assert sorted(row.partition("  ")[0] for row in rows if "scored" in row) == ["one", "one (copy) (holds run one)"]
    found = json.loads(cli("runs", "--json").out)
    assert sorted((line["folder"], line["run"]) for line in found) == [("one", "one"), ("one (copy)", "one")]


def test_a_run_that_names_the_mean_of_one_half_does_not_hide_the_others(cli: Cli) -> None:
    made.made_run(cli.runs, "good", attempts=1)
    half = made.made_run(cli.runs, "half", attempts=1)
    changed(half, lambda tree: tree.update(scoring=scoring(public="mean")))
    told = cli("runs")
    assert told.code == 0, told.err
    assert [row.split()[0] for row in told.out.splitlines()[1:3]] == ["good", "half"]
