"""Export and import: a record comes out as it went in; what else a file may hold is refused, and nothing stays."""

from __future__ import annotations

import io
import json
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import golden_records as golden
from curation_harness import archive
from curation_harness.errors import ArchiveInvalid, OptionInvalid, RecordInvalid, RunBusy, RunExists
from curation_harness.record import sealing
from curation_harness.record.models import FORMAT
from curation_harness.record.store import RunRecord
from curation_sandbox.errors import CurationError, DiskFull

RUN = "golden-scripted"
Write = Callable[[zipfile.ZipFile], None]


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return golden.opened(golden.NEWEST, tmp_path / "runs")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(source: Path, runs: Path, words: str, kind: type[CurationError] = ArchiveInvalid) -> None:
    """One clear message, and nothing is there that was not there before."""
    before = contents(runs.parent)
    with pytest.raises(kind, match=words) as caught:
        archive.bring_in(source, runs)
    assert caught.value.message.isprintable()
    assert contents(runs.parent) == before
    assert not [path for path in runs.rglob("*") if path.name.startswith(".")]


# -- round trips -----------------------------------------------------------------------------------


def test_what_was_exported_is_imported_byte_for_byte(record: RunRecord, tmp_path: Path) -> None:
    place = archive.export(record, tmp_path, models=True)
    assert place == tmp_path / f"{RUN}.run.zip"
    other = archive.bring_in(place, tmp_path / "elsewhere")
    assert contents(other.folder) == contents(record.folder)
    assert sealing.root(other.folder) == sealing.root(record.folder)
    assert golden.problem(other, sealing.root(record.folder)) is None


def test_the_same_record_gives_the_same_file(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = archive.export(record, tmp_path)
    for path in record.folder.rglob("*"):
        path.touch()
    assert archive.export(record, tmp_path / "again").read_bytes() == first.read_bytes()


def test_disks_locks_and_models_stay_where_they_are(record: RunRecord, tmp_path: Path) -> None:
    (record.folder / "volumes").mkdir()
    (record.folder / "volumes" / "workspace.img").write_bytes(b"disk")
    (record.folder / "run.lock").touch()
    names = zipfile.ZipFile(archive.export(record, tmp_path)).namelist()
    assert not [name for name in names if "volumes" in name or "run.lock" in name or "/model/model.json" in name]
    other = archive.bring_in(tmp_path / f"{RUN}.run.zip", tmp_path / "elsewhere")
    assert golden.problem(other, sealing.root(record.folder)) is None


def test_an_interrupted_run_is_exported_as_such(record: RunRecord, tmp_path: Path) -> None:
    """Killed after its first attempt: nothing is sealed, and everything else is held against everything else."""
    sealing.unseal(record)
    lines = (record.folder / "events.jsonl").read_text().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if "checkpoint-kept" in line)
    (record.folder / "events.jsonl").write_text("".join(lines[: end + 1]))
    for name in ("headline.json", "beside.sha256"):
        (record.folder / name).unlink()
    shutil.rmtree(record.folder / "attempts" / "002")
    other = archive.bring_in(archive.export(record, tmp_path), tmp_path / "elsewhere")
    assert sealing.root(other.folder) is None
    assert golden.problem(other) is None
    assert "not sealed" in (golden.problem(other, "0" * 64) or "")


def test_a_run_that_is_worked_on_is_not_exported(record: RunRecord, tmp_path: Path) -> None:
    with record.lock(), pytest.raises(RunBusy):
        archive.export(RunRecord.open_run(record.folder), tmp_path)
    assert not list(tmp_path.glob("*.zip"))


def test_a_damaged_record_is_not_exported(record: RunRecord, tmp_path: Path) -> None:
    (record.folder / "agent.log").write_text("other")
    with pytest.raises(RecordInvalid, match=r"agent\.log"):
        archive.export(record, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_an_export_overwrites_nothing(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_text("mine")
    with pytest.raises(OptionInvalid, match="is there already"):
        archive.export(record, tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_text() == "mine"


# -- what stands in the way ------------------------------------------------------------------------


def test_two_records_of_one_id_do_not_lie_side_by_side(record: RunRecord, tmp_path: Path) -> None:
    place = archive.export(record, tmp_path)
    refused(place, record.folder.parent, f"run {RUN} exists", RunExists)
    record.folder.rename(record.folder.with_name("renamed"))
    refused(place, record.folder.parent, "exists in .* as renamed", RunExists)


def test_a_record_of_a_newer_version_is_refused(record: RunRecord, tmp_path: Path) -> None:
    golden.edit(record.folder / "run.json", lambda tree: tree.update(format=FORMAT + 1))
    golden.resealed(record)
    place = archive.export(record, tmp_path)
    refused(place, tmp_path / "elsewhere", f"record format {FORMAT + 1}", RecordInvalid)


def test_a_disk_without_room_is_told_before_anything_is_written(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = archive.export(record, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    refused(place, tmp_path / "elsewhere", "are free at", DiskFull)


# -- hostile files ---------------------------------------------------------------------------------


def crafted(record: RunRecord, place: Path, more: Write) -> Path:
    """A good export with something added."""
    archive.export(record, place)
    with zipfile.ZipFile(place, "a") as made:
        more(made)
    return place


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.json",
        f"{RUN}/../../escaped.json",
        f"{RUN}/attempts/001/../../../escaped.json",
        f"{RUN}/attempts/001/policy/../../../../escaped.py",
        "/tmp/escaped.json",
        f"/{RUN}/run.json",
        f"{RUN}//run.json",
        f"{RUN}/./agent.log",
        "run.json",
        "other-run/run.json",
        f"{RUN}/notes.txt",
        f"{RUN}/volumes/workspace.img",
        f"{RUN}/run.lock",
        f"{RUN}/.hidden",
        f"{RUN}/attempts/001/policy/" + "x" * 2000,
        f"{RUN}/attempts/001/policy/a\x1b[2Jb/..",
        f"{RUN}/agent.log/inside",
    ],
)
def test_a_name_that_no_record_has_is_refused(record: RunRecord, tmp_path: Path, name: str) -> None:
    place = crafted(record, tmp_path / "bad.zip", lambda made: made.writestr(entry(name), b"hello"))
    refused(place, tmp_path / "elsewhere", "is no (file|path) of a run record")
    assert not list(tmp_path.rglob("escaped*"))


def test_a_file_below_a_file_is_refused(record: RunRecord, tmp_path: Path) -> None:
    def more(made: zipfile.ZipFile) -> None:
        made.writestr(entry(f"{RUN}/attempts/001/policy/new"), b"a file")
        made.writestr(entry(f"{RUN}/attempts/001/policy/new/below"), b"and a file in it")

    refused(crafted(record, tmp_path / "bad.zip", more), tmp_path / "elsewhere", "lies below a file")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR | 0o755])
def test_a_link_a_device_and_a_folder_are_refused(record: RunRecord, tmp_path: Path, mode: int) -> None:
    """``attempts -> /etc`` would be followed by every file after it."""
    name = f"{RUN}/attempts/001/policy/link"
    place = crafted(record, tmp_path / "bad.zip", lambda made: made.writestr(entry(name, mode), b"/etc"))
    refused(place, tmp_path / "elsewhere", "a record has files only")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(record: RunRecord, tmp_path: Path) -> None:
    """The second would take the place of the one that was checked."""
    place = crafted(record, tmp_path / "bad.zip", lambda made: made.writestr(entry(f"{RUN}/agent.log"), b"other"))
    refused(place, tmp_path / "elsewhere", "comes twice")


def test_a_bomb_is_refused_by_what_it_says_it_unpacks_to(record: RunRecord, tmp_path: Path) -> None:
    zeros = bytes(8 * 2**20)

    def more(made: zipfile.ZipFile) -> None:
        for number in range(4):
            made.writestr(entry(f"{RUN}/native/turn-001/{number}"), zeros, zipfile.ZIP_DEFLATED)

    place = crafted(record, tmp_path / "bomb.zip", more)
    assert place.stat().st_size < 2**20
    with pytest.raises(ArchiveInvalid, match="unpacks to more than"):
        archive.bring_in(place, tmp_path / "elsewhere", max_bytes=16 * 2**20)
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_a_bomb_that_lies_about_its_size_is_stopped(record: RunRecord, tmp_path: Path) -> None:
    """Both headers say 10 bytes; the deflated stream has megabytes."""
    name = f"{RUN}/native/turn-001/bomb"
    place = crafted(
        record,
        tmp_path / "bomb.zip",
        lambda made: made.writestr(entry(name), bytes(4 * 2**20), zipfile.ZIP_DEFLATED),
    )
    data = bytearray(place.read_bytes())
    central = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[central + 24 : central + 28] = struct.pack("<L", 10)
    place.write_bytes(data)
    refused(place, tmp_path / "elsewhere", "cannot be unpacked|longer than it says|no exported record")


def test_a_table_of_millions_of_files_is_refused_before_it_is_read(tmp_path: Path) -> None:
    place = tmp_path / "table.zip"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    where = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 10**9, 10**9, 50 * 10**9, 0)
    place.write_bytes(bytes(1000) + wide + where + end)
    refused(place, tmp_path / "elsewhere", "lists 1000000000 files")


def test_an_encrypted_and_an_oddly_packed_file_are_refused(record: RunRecord, tmp_path: Path) -> None:
    place = crafted(
        record,
        tmp_path / "odd.zip",
        lambda made: made.writestr(entry(f"{RUN}/native/turn-001/x"), b"x", zipfile.ZIP_LZMA),
    )
    refused(place, tmp_path / "elsewhere", "packed in a way")
    data = bytearray(archive.export(record, tmp_path / "secret.zip").read_bytes())
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(data)
    refused(tmp_path / "secret.zip", tmp_path / "elsewhere", "is encrypted")


def test_a_record_whose_files_are_not_those_it_lists_is_refused(record: RunRecord, tmp_path: Path) -> None:
    place = archive.export(record, tmp_path)
    changed = tmp_path / "changed.zip"
    with zipfile.ZipFile(place) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info, data.replace(b"curate", b"harness") if info.filename.endswith("agent.log") else data)
    refused(changed, tmp_path / "elsewhere", r"agent\.log is not what it was", RecordInvalid)


def test_a_folder_that_is_named_like_another_run_is_refused(record: RunRecord, tmp_path: Path) -> None:
    place = archive.export(record, tmp_path)
    renamed = tmp_path / "renamed.zip"
    with zipfile.ZipFile(place) as old, zipfile.ZipFile(renamed, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename.replace(RUN, "somebody-else"), old.read(info))
    refused(renamed, tmp_path / "elsewhere", "its folder is called somebody-else, and its run golden-scripted")


@pytest.mark.parametrize("length", [0, 1, 21, 22, 100, 5000, -1, -22, -100])
def test_a_file_that_was_cut_off_is_refused(record: RunRecord, tmp_path: Path, length: int) -> None:
    data = archive.export(record, tmp_path).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[:length])
    refused(tmp_path / "cut.zip", tmp_path / "elsewhere", "is no exported record")


@pytest.mark.parametrize("at", range(0, 44000, 1499))
def test_one_byte_changed_in_the_file_is_noticed_or_means_nothing(record: RunRecord, tmp_path: Path, at: int) -> None:
    """A zip has bytes that say nothing of a file's content; then what is imported is the record itself."""
    data = bytearray(archive.export(record, tmp_path).read_bytes())
    data[at % len(data)] ^= 4
    (tmp_path / "changed.zip").write_bytes(data)
    root = sealing.root(record.folder)
    try:
        found = archive.bring_in(tmp_path / "changed.zip", tmp_path / "elsewhere")
    except CurationError:
        assert not list((tmp_path / "elsewhere").glob("*"))
        return
    assert golden.problem(found, root) is None


@pytest.mark.parametrize("what", ["missing", "folder", "text", "other zip", "empty zip"])
def test_what_is_no_exported_record_is_told_so(tmp_path: Path, what: str) -> None:
    place = tmp_path / "given"
    if what == "folder":
        place.mkdir()
    elif what == "text":
        place.write_text("hello " * 100)
    elif what != "missing":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as made:
            if what == "other zip":
                made.writestr("some/thing.json", json.dumps({}))
        place.write_bytes(packed.getvalue())
    refused(place, tmp_path / "elsewhere", "no such file|is a folder|no exported record|is no file of a run record")
