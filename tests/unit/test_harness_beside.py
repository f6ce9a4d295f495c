"""What is made of a record after its seal: what is listed of it and when, and that no kill leaves a record that is
whole and does not verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import golden_records as golden
from curation_harness import archive, recorded
from curation_harness.errors import RecordInvalid
from curation_harness.record import listing, sealing
from curation_harness.record.store import RunRecord
from curation_harness.rerun import numbers


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return golden.opened(golden.NEWEST, tmp_path)


def rerun(record: RunRecord, kind: numbers.Kind, *, verdict: bool) -> Path:
    folder = numbers.new_folder(record, kind)
    (folder / "attempt-001").mkdir()
    (folder / "attempt-001" / "items.jsonl").write_text("{}\n")
    folder.with_suffix(".log").write_text("a worker's words\n")
    if verdict:
        folder.with_suffix(".json").write_text("{}")
    return folder


@pytest.mark.parametrize("kind", numbers.KINDS)
def test_a_killed_rerun_is_in_no_list_and_in_no_other_reruns_way(record: RunRecord, kind: numbers.Kind) -> None:
    killed = rerun(record, kind, verdict=False)
    sealing.note_beside(record)  # a report is written
    assert killed.name not in (record.folder / "beside.sha256").read_text()
    sealing.check_beside(record.folder)
    rerun(record, kind, verdict=True)
    assert not killed.exists() or killed.with_suffix(".json").exists()
    sealing.note_beside(record)
    sealing.check_beside(record.folder)


def test_what_an_older_list_says_of_a_killed_rerun_is_dropped(record: RunRecord) -> None:
    killed, place = rerun(record, "replay", verdict=True), record.folder / "beside.sha256"
    sealing.note_beside(record)
    killed.with_suffix(".json").unlink()
    place.write_text("".join(line for line in place.open() if "replay.json" not in line))
    assert "001-replay/" in place.read_text()
    rerun(record, "replay", verdict=False)
    sealing.note_beside(record)
    assert "001-replay/" not in place.read_text()
    sealing.check_beside(record.folder)


def test_a_verdict_that_is_in_no_list_is_named(record: RunRecord) -> None:
    rerun(record, "submissions", verdict=True)
    with pytest.raises(RecordInvalid, match=r"001-submissions.*was added later"):
        sealing.check_beside(record.folder)


def test_a_users_own_folder_among_the_reruns_stays(record: RunRecord) -> None:
    notes = record.folder / "reruns" / "100-notes"
    notes.mkdir(parents=True)
    numbers.new_folder(record, "replay")
    assert notes.is_dir()


def test_what_was_made_of_a_run_that_goes_on_is_made_anew(record: RunRecord) -> None:
    """Ctrl-C while the report of a run that was interrupted before is written."""
    rerun(record, "submissions", verdict=True)
    sealing.note_beside(record)
    assert sealing.written_up(record)
    assert not recorded.unconcluded(record)
    sealing.unseal(record)
    assert not (record.folder / "trajectory.json").exists()
    sealing.seal(record)
    (record.folder / "trajectory.json").write_text("{}")
    assert recorded.unconcluded(record)  # `resume` and `finish` write it up
    sealing.note_beside(record)
    assert not recorded.unconcluded(record)
    sealing.check_beside(record.folder)
    listed = (record.folder / "beside.sha256").read_text()
    assert "reruns/001-submissions.json" in listed


def test_what_a_strangers_list_names_is_not_removed(record: RunRecord, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    named = dict.fromkeys(("../mine.txt", "headline.json", "trajectory.json"), "0" * 64)
    (record.folder / "beside.sha256").write_bytes(listing.render(named))
    sealing.unseal(record)
    assert mine.exists()
    assert (record.folder / "headline.json").exists()
    assert not (record.folder / "trajectory.json").exists()


def test_a_damaged_list_is_told_before_anything_is_touched(record: RunRecord) -> None:
    with (record.folder / "beside.sha256").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RecordInvalid, match=r"beside\.sha256"):
        sealing.unseal(record)
    assert sealing.root(record.folder) is not None


def test_a_record_that_could_not_be_imported_is_not_exported(record: RunRecord, tmp_path: Path) -> None:
    with (record.folder / "trajectory.json").open("a") as file:
        file.write(" ")
    with pytest.raises(RecordInvalid, match=r"trajectory\.json"):
        archive.export(record, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    "part", ["attempts", "attempts/001/policy", "run.json", "events.jsonl", "reruns", "run.lock"]
)
def test_a_linked_part_is_named_and_neither_read_nor_written(record: RunRecord, tmp_path: Path, part: str) -> None:
    place, away = record.folder / part, tmp_path / "away"
    if place.exists():
        place.rename(away)
    else:
        away.mkdir()
        (away / "001-replay").mkdir()
    place.symlink_to(away)
    before = sorted(away.rglob("*"))
    with pytest.raises(RecordInvalid, match=f"{Path(part).name} is a link") as refused:
        RunRecord.open_run(record.folder)
    assert "nothing behind the link was read" in str(refused.value.hint)
    assert sorted(away.rglob("*")) == before


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(record: RunRecord) -> None:
    import os

    (record.folder / "events.jsonl").unlink()
    os.mkfifo(record.folder / "events.jsonl")
    with pytest.raises(RecordInvalid, match="neither a file nor a folder"):
        RunRecord.open_run(record.folder)


def test_a_lock_that_became_a_link_is_told(record: RunRecord, tmp_path: Path) -> None:
    (record.folder / "run.lock").unlink(missing_ok=True)
    (record.folder / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordInvalid, match=r"run\.lock cannot be opened"), record.lock():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_golden_records_say_of_themselves_that_they_are_written_up(record: RunRecord) -> None:
    assert json.loads((record.folder / "trajectory.json").read_text())
    assert sealing.written_up(record)
