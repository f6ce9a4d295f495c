"""The run folder: what is written is there whole or not at all, and what is damaged or foreign is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import made_records as made
from curation_harness.errors import RecordInvalid, RunBusy, RunExists, RunFolderUnusable, RunUnknown
from curation_harness.record import state
from curation_harness.record.events import EventLog
from curation_harness.record.models import FORMAT
from curation_harness.record.store import RunRecord, run_ids
from curation_plugins import selection


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return RunRecord.create(tmp_path / "runs", made.made_spec(), None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- creating and opening --------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = made.made_run(tmp_path, attempts=3)
    read = RunRecord.open_run(written.folder)
    assert read.spec == written.spec
    assert read.references() == made.made_references()
    assert read.submissions() == written.submissions()
    assert [result.status for result in read.results()] == ["scored", "scored", "failed"]
    assert read.headline() == written.headline()
    assert read.refusals() == written.refusals()
    assert read.events.all() == written.events.all()
    chosen = selection.read_canonical(read.attempt_folder(1) / "selection.jsonl")
    assert chosen.digest() == read.submissions()[0].digest
    assert (read.attempt_folder(1) / "policy" / "policy.py").read_bytes() == b"import random\n"


def test_a_taken_id_is_refused_and_the_run_there_stays(record: RunRecord) -> None:
    before = names(record.folder)
    with pytest.raises(RunExists):
        RunRecord.create(record.folder.parent, made.made_spec(), None)
    assert names(record.folder) == before
    assert names(record.folder.parent) == ["run-1"]


def test_a_file_in_place_of_the_runs_folder_is_reported_and_left_alone(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.write_text("mine")
    with pytest.raises(RunFolderUnusable, match="cannot hold a run"):
        RunRecord.create(runs, made.made_spec(), None)
    assert runs.read_text() == "mine"
    assert names(tmp_path) == ["runs"]


def test_a_missing_folder_is_an_unknown_run(tmp_path: Path) -> None:
    with pytest.raises(RunUnknown):
        RunRecord.open_run(tmp_path / "nothing")


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"name": "some other tool"}', '"\udcff"'])
def test_a_foreign_folder_is_no_record(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text, errors="surrogateescape")
    with pytest.raises(RecordInvalid):
        RunRecord.open_run(tmp_path)


@pytest.mark.parametrize("more", [{}, {"invented_later": 1}], ids=["same keys", "more keys"])
def test_a_record_of_a_newer_format_is_refused_even_if_it_would_parse(
    record: RunRecord, more: dict[str, int]
) -> None:
    path = record.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1, **more}))
    with pytest.raises(RecordInvalid, match=f"format {FORMAT + 1}.*reads up to {FORMAT}"):
        RunRecord.open_run(record.folder)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    record = made.made_run(tmp_path, attempts=1)
    path = record.attempt_folder(1) / "result.json"
    path.write_text(path.read_text().replace('"scored"', '"perfect"'))
    with pytest.raises(RecordInvalid, match=r"attempts/001/result.json: status"):
        record.results()


def test_a_run_is_found_by_id_prefix_path_and_as_the_last(tmp_path: Path) -> None:
    for age, name in enumerate(("b-two", "a-one", "a-onely"), start=1):
        record = RunRecord.create(tmp_path, made.made_spec(name), None)
        os.utime(record.folder / "run.json", (age, age))

    def found(name: str) -> str:
        return RunRecord.find(tmp_path, name).spec.run_id

    assert found("b") == "b-two"
    assert found("a-one") == "a-one"  # an id is that run, though another begins with it
    assert found(str(tmp_path / "a-onely")) == "a-onely"
    assert found("last") == "a-onely"
    with pytest.raises(RunUnknown, match="2 runs begin with 'a'"):
        found("a")
    with pytest.raises(RunUnknown, match="no run 'c'"):
        found("c")


def test_there_is_no_last_run_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunUnknown):
        RunRecord.find(tmp_path / "nowhere", "last")


def test_only_folders_with_a_run_are_listed(record: RunRecord) -> None:
    runs = record.folder.parent
    (runs / "notes").mkdir()
    (runs / "file").write_text("")
    shutil.copytree(record.folder, runs / ".run-2.77.tmp")  # what a launch that was killed leaves
    assert run_ids(runs) == ["run-1"]


def test_a_record_behind_a_link_is_refused_and_left_alone(record: RunRecord, tmp_path: Path) -> None:
    link = tmp_path / "runs" / "shown"
    link.symlink_to(record.folder, target_is_directory=True)
    before = {path: path.stat().st_mtime_ns for path in record.folder.rglob("*")}
    for named in (lambda: RunRecord.open_run(link), lambda: RunRecord.find(tmp_path / "runs", str(link))):
        with pytest.raises(RecordInvalid, match="is a link"):
            named()
    assert {path: path.stat().st_mtime_ns for path in record.folder.rglob("*")} == before


def test_runs_may_lie_behind_a_link(record: RunRecord, tmp_path: Path) -> None:
    """A disk for runs is often reached by one."""
    (tmp_path / "other").symlink_to(record.folder.parent, target_is_directory=True)
    assert RunRecord.find(tmp_path / "other", "run-1").spec == record.spec


@pytest.mark.parametrize("name", ["run-1-copy", "last"])
def test_two_records_with_one_id_are_refused_and_left_alone(record: RunRecord, name: str) -> None:
    copy = record.folder.with_name("run-1-copy")
    shutil.copytree(record.folder, copy)
    os.utime(copy / "run.json", (2**31, 2**31))  # the last one
    with pytest.raises(RecordInvalid, match=r"two records with one id: .*run-1-copy and .*run-1 both"):
        RunRecord.find(record.folder.parent, name)
    assert names(copy) == names(record.folder)
    assert RunRecord.find(record.folder.parent, "run-1").folder == record.folder  # its folder has its name


def test_a_record_whose_folder_was_renamed_is_still_that_run(record: RunRecord) -> None:
    renamed = record.folder.rename(record.folder.with_name("kept"))
    assert RunRecord.find(renamed.parent, "kept").spec.run_id == "run-1"


# -- attempts --------------------------------------------------------------------------------------


def test_a_half_written_attempt_of_a_crash_is_not_there_and_is_written_again(record: RunRecord) -> None:
    scratch = record.folder / "attempts" / ".001.tmp"
    scratch.mkdir()
    (scratch / "selection.jsonl").write_text("{")
    assert record.submissions() == ()
    submission = made.write_attempt(record, 1)
    assert record.submissions() == (submission,)
    assert not scratch.exists()


def test_a_note_in_any_script_survives(record: RunRecord) -> None:
    note = "Größe 数据 \U0001f600 " + "".join(made.HOSTILE.values())
    made.write_attempt(record, 1, note=note)
    assert RunRecord.open_run(record.folder).submissions()[0].note == note


def test_an_accepted_attempt_without_a_result_stays_visible(record: RunRecord) -> None:
    made.write_attempt(record, 1)
    made.write_attempt(record, 2)
    made.write_score(record, 2, 0.5)
    assert [submission.n for submission in record.submissions()] == [1, 2]
    assert record.result(1) is None
    assert [result.n for result in record.results()] == [2]


# -- events ----------------------------------------------------------------------------------------


def test_events_are_numbered_and_on_disk_when_append_returns(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("created")
    log.append("clock", agent_seconds=1.5)
    again = EventLog(tmp_path / "events.jsonl")
    assert [(event.seq, event.kind) for event in again.all()] == [(1, "created"), (2, "clock")]
    assert again.of("clock")[0].data == {"agent_seconds": 1.5}


def test_an_unknown_kind_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown event kind"):
        EventLog(tmp_path / "events.jsonl").append("invented")
    assert not (tmp_path / "events.jsonl").exists()


@pytest.mark.parametrize("tail", [b'{"seq":3,"ti', b"\xff\xfe", b'{"seq":3,"time":"","kind":"done","data":{}}'])
def test_a_torn_last_line_never_happened_and_is_cut(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append("created")
    log.append("done")
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    log = EventLog(path)
    assert len(log.all()) == 2
    log.drop_torn_tail()
    assert path.read_bytes() == whole
    log.append("ended", status="scored")
    assert [event.seq for event in EventLog(path).all()] == [1, 2, 3]


def test_text_with_line_ends_stays_one_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    text = "a\nb\rc\u2028d\x85e\x0bf" + "".join(made.HOSTILE.values())
    EventLog(path).append("worker", what=text)
    assert EventLog(path).all()[0].data == {"what": text}


@pytest.mark.parametrize("damage", ["removed", "doubled", "swapped", "not JSON", "empty line"])
def test_lines_that_were_changed_are_noticed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    for _ in range(4):
        log.append("clock", agent_seconds=1.0)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "removed": [lines[0], *lines[2:]],
        "doubled": [lines[0], *lines],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "not JSON": [lines[0], b"{\n", *lines[2:]],
        "empty line": [lines[0], b"\n", *lines[1:]],
    }[damage]
    path.write_bytes(b"".join(changed))
    with pytest.raises(RecordInvalid, match=r"events.jsonl, line \d"):
        EventLog(path)


# -- one process at a time -------------------------------------------------------------------------


def test_a_second_opener_can_read_but_not_work(record: RunRecord) -> None:
    other = RunRecord.open_run(record.folder)
    with record.lock():
        assert other.held()
        with pytest.raises(RunBusy), other.lock():
            pass
    assert not other.held()


def test_one_who_opened_before_another_wrote_goes_on_after_it(record: RunRecord) -> None:
    early = RunRecord.open_run(record.folder)
    with record.lock():
        record.events.append("interrupted")
    with early.lock():
        early.events.append("resumed")
    kinds = [event.kind for event in RunRecord.open_run(record.folder).events.all()]
    assert kinds == ["created", "interrupted", "resumed"]


# -- state -----------------------------------------------------------------------------------------


def test_status_is_running_while_held_and_unscored_after_a_crash(record: RunRecord) -> None:
    assert state.status(record) == "unscored"
    with record.lock():
        assert state.status(RunRecord.open_run(record.folder)) == "running"


def test_a_resumed_run_is_not_what_it_had_ended_as(record: RunRecord) -> None:
    record.events.append("ended", status="unscored")
    assert state.status(record) == "unscored"
    with record.lock():
        record.events.append("resumed")
        assert state.status(RunRecord.open_run(record.folder)) == "running"
        record.events.append("agent-started", container="c")
        assert state.status(RunRecord.open_run(record.folder)) == "running"
        record.events.append("ended", status="scored")
    assert state.status(record) == "scored"


def test_the_ledger_adds_up_the_events(tmp_path: Path) -> None:
    record = made.made_run(tmp_path, attempts=3)  # the third is a refunded failure
    record.events.append("signal", name="loss", rows=5, seconds=2.5, cached=False)
    spent = state.ledger(record)
    assert (spent.iterations, spent.refunded, spent.refusals) == (3, 1, 1)
    assert spent.agent_seconds == pytest.approx(3 * 41.5)
    assert spent.signal_seconds == pytest.approx(2.5)
    assert state.iterations_left(record) == made.made_task().budgets.iterations - 2
    assert {budget.name: budget.spent for budget in spent.budgets(record)}["refunds"] == 1


def test_the_best_attempt_is_the_first_of_equals_and_never_a_failure(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    for n in range(1, 5):
        made.write_attempt(record, n)
    made.write_failure(record, 1)
    better = made.write_score(record, 2, 0.9)
    record.write_result(better.model_copy(update={"n": 3}))
    made.write_score(record, 4, 0.2)
    best = state.best(record.results())
    assert best is not None
    assert best.n == 2
    assert state.best(()) is None
