"""A record of which one byte was changed, anywhere, does not verify; nor one that lost a file or gained one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import golden_records as golden
from curation_harness.errors import RecordInvalid
from curation_harness.record import sealing
from curation_harness.record.layout import KINDS
from curation_harness.record.store import RunRecord

CHANGEABLE = sorted(kind.name for kind in KINDS if kind.name not in golden.OUTSIDE)


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, dict[str, str]]:
    record, found = golden.with_every_kind(tmp_path_factory.mktemp("record"))
    sealing.check_sealed(record.folder)
    sealing.check_beside(record.folder)
    return record, found


@pytest.fixture
def changed(every_kind: tuple[RunRecord, dict[str, str]]) -> Iterator[tuple[RunRecord, dict[str, str]]]:
    """The record, made whole again afterwards."""
    record, found = every_kind
    kept = record.folder.parent.with_name("kept")
    if not kept.exists():
        shutil.copytree(record.folder, kept)
    yield record, found
    shutil.rmtree(record.folder)
    shutil.copytree(kept, record.folder)


def found_problem(record: RunRecord) -> str | None:
    """What is named; a record whose run.json or events are damaged cannot even be opened."""
    try:
        return golden.problem(record)
    except RecordInvalid as error:
        return error.message


def flipped(place: Path, at: int) -> None:
    data = bytearray(place.read_bytes())
    data[at] ^= 1
    place.write_bytes(data)


def spots(size: int) -> list[int]:
    return sorted({0, size // 3, size // 2, size - 1})


@pytest.mark.parametrize("kind", CHANGEABLE)
def test_one_byte_of_any_file_makes_verify_fail(changed: tuple[RunRecord, dict[str, str]], kind: str) -> None:
    record, found = changed
    place = record.folder / found[kind]
    whole = place.read_bytes()
    if kind == "run.lock":  # empty, and so without a byte to change
        place.write_bytes(b"x")
        assert "run.lock" in (found_problem(record) or "")
        return
    for at in spots(len(whole)):
        flipped(place, at)
        told = found_problem(record)
        assert told is not None, f"byte {at} of {found[kind]}"
        if kind not in ("manifest.sha256", "beside.sha256", "attempts/NNN/model/", "run.json"):
            assert found[kind] in told
        place.write_bytes(whole)


def test_the_last_byte_cut_off_or_one_more_is_noticed_of_every_file(
    changed: tuple[RunRecord, dict[str, str]],
) -> None:
    record, _ = changed
    for place in sorted(path for path in record.folder.rglob("*") if path.is_file() and path.name != "run.lock"):
        whole = place.read_bytes()
        for data in (whole[:-1], whole + b"\n"):
            place.write_bytes(data)
            assert found_problem(record) is not None, f"{place}: {len(data) - len(whole):+d}"
        place.write_bytes(whole)


@pytest.mark.parametrize("kind", [kind for kind in CHANGEABLE if kind not in ("run.lock", "attempts/NNN/model/")])
def test_a_file_that_is_missing_is_named(changed: tuple[RunRecord, dict[str, str]], kind: str) -> None:
    record, found = changed
    (record.folder / found[kind]).unlink()
    if kind == "beside.sha256":
        assert "beside.sha256" in (found_problem(record) or "")
    else:
        assert found[kind] in (found_problem(record) or "")


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "attempts/001/more.jsonl",
        "attempts/003/result.json",
        "history/signals/other.jsonl",
        "model/bodies/00/" + "0" * 64 + ".zst",
        "blobs/blobs/" + "0" * 64,
        "headline/attempt-002/seed-1/scores.json",
        "attempts/001/policy/.hidden",
        ".attempts.tmp",
        "agent-clock",
    ],
)
def test_a_file_that_was_added_is_named(changed: tuple[RunRecord, dict[str, str]], path: str) -> None:
    record, _ = changed
    place = record.folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("{}")
    assert path in (found_problem(record) or "")


@pytest.mark.parametrize("path", ["attempts/001/result.json", "agent.log", "attempts/001/policy", "volumes"])
def test_a_link_is_named_and_not_followed(changed: tuple[RunRecord, dict[str, str]], path: str) -> None:
    """Its target has the right content; tomorrow it may have another."""
    record, _ = changed
    place = record.folder / path
    moved = record.folder.parent / "moved"
    if place.exists():
        place.rename(moved)
    place.symlink_to(moved)
    assert "is a link" in (found_problem(record) or "")
    if moved.is_dir():
        shutil.rmtree(moved)
    moved.unlink(missing_ok=True)


def test_what_stands_outside_may_be_anything(changed: tuple[RunRecord, dict[str, str]]) -> None:
    """The agent's disks are no part of the record, and `harness clean` may remove them."""
    record, _ = changed
    before = found_problem(record)
    (record.folder / "volumes").mkdir()
    (record.folder / "volumes" / "workspace.img").write_bytes(b"disk")
    (record.folder / "volumes" / "link").symlink_to("/")
    assert found_problem(record) == before


def test_the_lists_can_be_checked_by_any_sha256sum(changed: tuple[RunRecord, dict[str, str]]) -> None:
    record, _ = changed
    command = ["sha256sum", "--strict", "--quiet", "--check"]
    for name in ("manifest.sha256", "beside.sha256"):
        subprocess.run([*command, name], cwd=record.folder, check=True)
    told = subprocess.run(["sha256sum", "manifest.sha256"], cwd=record.folder, check=True, capture_output=True)
    assert told.stdout.decode().split()[0] == sealing.root(record.folder)
    flipped(record.folder / "agent.log", 0)
    assert subprocess.run([*command, "manifest.sha256"], cwd=record.folder, capture_output=True).returncode != 0
