"""``harness runs``: fast with a thousand records, and never behind what they say."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import made_records as made
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
