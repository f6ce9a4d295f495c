"""One file that holds a record: ``harness export`` writes it, ``harness import`` opens it elsewhere.

A plain zip file: any program lists it. Below one folder, named like the run, stand all files of the record but what
is no part of it (the agent's disks, locks) and, unless asked for, the trained models. The same record gives the same
bytes.

What is imported is hostile: it may come from anywhere. Only what the format itself allows is unpacked: files of the
kinds that a record has, of bounded number and size, below a new folder, which appears under its name when every file
is there and fits the lists in it.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from curation_harness.errors import ArchiveInvalid, OptionInvalid, RecordInvalid, RunBusy, RunExists
from curation_harness.record import files, sealing
from curation_harness.record.layout import FileKind, kind_of, shown, walk
from curation_harness.record.store import RunRecord, same_id
from curation_sandbox.errors import DiskFull
from curation_sandbox.spec import format_size

SUFFIX: Final = ".run.zip"
MAX_FILES: Final = 200_000
MAX_BYTES: Final = 256 * 2**30
"""Unpacked, all files together; ``--max-size`` says another one."""
MAX_PATH: Final = 1024
"""Bytes."""
_MEMBER: Final = 512
"""Bytes that one file may take in the archive's table on the average; a path is most of it."""
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_PIECE: Final = 2**20
_LEFT_OUT: Final = frozenset({"outside", "leftover"})
_LISTS: Final = frozenset({"manifest.sha256", "beside.sha256"})


# -- export ------------------------------------------------------------------------------------------


def export(record: RunRecord, target: Path, *, models: bool = False) -> Path:
    """Write a record into one file, whole or not at all.

    Args:
        target: the file, or a folder for it.
        models: whether trained models that are kept go with it.

    Raises:
        RunBusy: a process works on the run. OptionInvalid: the file is there already. RecordInvalid: the folder holds
            something that no record has, or a file that is not what the record's list says.
    """
    place = target / f"{record.spec.run_id}{SUFFIX}" if target.is_dir() else target
    if place.exists():
        raise OptionInvalid(f"{place} is there already", hint="Name another file, or remove that one.")
    if record.held():
        raise RunBusy(f"another process works on run {record.spec.run_id}", hint="Wait for it, then export the run.")
    if sealing.root(record.folder) is not None:
        sealing.check_sealed(record.folder)  # a damaged record is not handed on
        sealing.check_beside(record.folder)
    scratch = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, kind in walk(record.folder):
                if _goes_along(path, kind, models=models):
                    _add(archive, record.folder / path, f"{record.spec.run_id}/{path}")
        scratch.rename(place)
        files.sync_folder(place.parent)
    finally:
        scratch.unlink(missing_ok=True)
    return place


def _goes_along(path: str, kind: FileKind, *, models: bool) -> bool:
    if kind.stands == "model":
        return models
    return kind.stands not in _LEFT_OUT or path in _LISTS


def _add(archive: zipfile.ZipFile, source: Path, name: str) -> None:
    about = zipfile.ZipInfo(name, _TIME)
    about.compress_type = zipfile.ZIP_DEFLATED
    about.create_system = 3  # Unix, on every system: the same record gives the same bytes
    about.external_attr = (stat.S_IFREG | 0o644) << 16
    with source.open("rb") as file, archive.open(about, "w", force_zip64=True) as packed:
        shutil.copyfileobj(file, packed, _PIECE)


# -- import ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """One file of an archive that was found fit to be unpacked."""

    info: zipfile.ZipInfo
    path: str
    """In the record's folder."""


def bring_in(source: Path, runs: Path, *, max_bytes: int = MAX_BYTES) -> RunRecord:
    """Unpack an exported record into the folder of runs, whole or not at all.

    Raises:
        ArchiveInvalid: it is no exported record, or holds what none does. RecordInvalid: its files are not those that
            it lists, or it is of a newer version. RunExists: a run of that id is there. DiskFull: there is no room.
    """
    with _opened(source) as archive:
        run_id, members = inspect(archive, source, max_bytes)
        taken = same_id(runs, run_id)
        if taken or (runs / run_id).exists():
            raise RunExists(
                f"run {run_id} exists in {runs}" + (f", as {taken[0]}" if taken and taken[0] != run_id else ""),
                hint="Two records with one id cannot lie side by side: name another folder with --run-dir.",
            )
        runs.mkdir(parents=True, exist_ok=True)
        scratch = runs / f".{run_id}.{os.getpid()}.import"
        try:
            unpack(archive, source, members, scratch)
            record = _checked(scratch, run_id, source)
            _order(scratch, record)
            for name in ("attempts", "refusals", "headline"):  # there from a run's beginning, empty or not
                (scratch / name).mkdir(exist_ok=True)
            files.publish_folder(scratch, runs / run_id)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return RunRecord.open_run(runs / run_id)


@contextmanager
def unpacked(source: Path, below: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[RunRecord]:
    """An exported record, to be looked at, in a folder of its own that is gone afterwards.

    Raises:
        As ``bring_in``.
    """
    with _opened(source) as archive:
        run_id, members = inspect(archive, source, max_bytes)
        folder = below / run_id
        unpack(archive, source, members, folder)
    yield _opened_record(folder, run_id, source)


def inspect(archive: zipfile.ZipFile, source: Path, max_bytes: int) -> tuple[str, list[Member]]:
    """The id of an archive's run, and its files, before anything of it is unpacked.

    Raises:
        ArchiveInvalid: a name that leads elsewhere or comes twice, a link, a file that no record has, or too much.
    """
    members: list[Member] = []
    names: set[str] = set()
    total = 0
    run_id = ""
    for info in archive.infolist():
        path = _path_of(info, source)
        top, _, path = path.partition("/")
        run_id = run_id or top
        kind = kind_of(path)
        if top != run_id or kind is None or (kind.stands in _LEFT_OUT and path not in _LISTS):
            raise _bad(source, f"{shown(info.filename)!s:.200} is no file of a run record")
        if path in names:
            raise _bad(source, f"{shown(path)!s:.200} comes twice")
        names.add(path)
        total += info.file_size
        if total > max_bytes:
            raise _bad(source, f"it unpacks to more than {format_size(max_bytes)}", "--max-size allows more.")
        members.append(Member(info, path))
    if "run.json" not in names:
        raise _bad(source, "there is no run.json in it, so it is no exported record")
    clash = next((path for path in names if any(str(above) in names for above in PurePosixPath(path).parents)), None)
    if clash is not None:
        raise _bad(source, f"{shown(clash)!s:.200} lies below a file")
    return run_id, members


def unpack(archive: zipfile.ZipFile, source: Path, members: list[Member], folder: Path) -> None:
    """Write an archive's files below a new folder; never more of one than the archive says it has.

    Raises:
        ArchiveInvalid: a file is damaged or longer than it says. DiskFull: there is no room for what it says.
    """
    size = sum(member.info.file_size for member in members)
    free = shutil.disk_usage(folder.parent).free
    if size > free:
        raise DiskFull(f"{source} unpacks to {format_size(size)}; {format_size(free)} are free at {folder.parent}")
    folder.mkdir()
    for member in members:
        place = folder / member.path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member.info) as packed, place.open("xb") as file:
                left = member.info.file_size
                while piece := packed.read(min(_PIECE, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        raise _bad(source, f"{shown(member.path)} is longer than it says")
                    file.write(piece)
        # what zipfile raises: damaged member, unknown method (NotImplementedError), password (RuntimeError)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise _bad(source, f"{shown(member.path)} cannot be unpacked: {error}") from None
        if left:
            raise _bad(source, f"{shown(member.path)} is shorter than it says")


def _path_of(info: zipfile.ZipInfo, source: Path) -> str:
    """The path of a member, if it is a plain file with a plain name."""
    name = info.filename
    told = f"{shown(name)!s:.200}"
    mode = info.external_attr >> 16
    if info.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "a link" if stat.S_ISLNK(mode) else "a folder or a device"
        raise _bad(source, f"{told} is {what}; a record has files only")
    if info.flag_bits & 0x1:
        raise _bad(source, f"{told} is encrypted")
    if info.compress_type not in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        raise _bad(source, f"{told} is packed in a way that no exported record is")
    parts = name.split("/")
    if "\\" in name.split("/")[0] or "\0" in name or len(parts) < 2 or {"", ".", ".."} & set(parts):
        raise _bad(source, f"{told} is no path of a run record")
    if len(name.encode(errors="surrogatepass")) > MAX_PATH or name != info.orig_filename:
        raise _bad(source, f"{told} is no path of a run record")
    return name


@contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        _check_table(source)
        with zipfile.ZipFile(source) as archive:
            yield archive
    # all that zipfile raises for a damaged table, and for a version it does not know (NotImplementedError)
    except (zipfile.BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError) as error:
        raise _bad(source, f"it is no exported record ({error})") from None
    except FileNotFoundError:
        raise ArchiveInvalid(f"{source}: no such file") from None
    except IsADirectoryError:
        raise ArchiveInvalid(f"{source} is a folder, and no exported record") from None


def _check_table(source: Path) -> None:
    """The library reads the whole table of files at once: a crafted one must not fill the memory first.

    The end of a zip file says how long its table is (APPNOTE.TXT 4.3.14 to 4.3.16).
    """
    with source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 98))
        tail = file.read()
    end = tail[-22:]
    if len(end) < 22 or not end.startswith(b"PK\5\6"):
        raise _bad(source, "it is no exported record: it does not end like one")
    count, length = struct.unpack("<10xHL", end[:16])
    if count == 0xFFFF or length == 0xFFFFFFFF:
        wide = tail[-98:-42]
        if not wide.startswith(b"PK\6\6"):
            raise _bad(source, "it is no exported record: its table is not where it should be")
        count, length = struct.unpack("<QQ", wide[32:48])
    if count > MAX_FILES or length > MAX_FILES * _MEMBER or length > size:
        raise _bad(source, f"it lists {count} files in {length} bytes; a record has at most {MAX_FILES}")


def _opened_record(folder: Path, run_id: str, source: Path) -> RunRecord:
    try:
        record = RunRecord.open_run(folder)
    except RecordInvalid as error:
        raise RecordInvalid(error.message.replace(str(folder), str(source)), hint=error.hint) from None
    if record.spec.run_id != run_id:
        raise _bad(source, f"its folder is called {shown(run_id)}, and its run {shown(record.spec.run_id)}")
    return record


def _checked(folder: Path, run_id: str, source: Path) -> RunRecord:
    """What was unpacked, if its files are those that it lists."""
    record = _opened_record(folder, run_id, source)
    try:
        if sealing.root(folder) is not None:
            sealing.check_sealed(folder)
            sealing.check_beside(folder)
    except RecordInvalid as error:
        raise RecordInvalid(error.message.replace(str(folder), str(source)), hint=error.hint) from None
    return record


def _order(folder: Path, record: RunRecord) -> None:
    """Runs are listed by the time of their run.json: the time at which this one was created."""
    try:
        began = datetime.fromisoformat(record.spec.created).timestamp()
        os.utime(folder / "run.json", (began, began))
    except (ValueError, OverflowError, OSError):
        return


def _bad(source: Path, what: str, hint: str = "Nothing of it was kept.") -> ArchiveInvalid:
    return ArchiveInvalid(f"{source}: {what}", hint=hint)
