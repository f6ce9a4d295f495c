"""Copies of an agent program's session log, out of a home that the agent could arrange as it liked."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from curation_harness.agent import native_log

PATTERNS = (".claude/projects/*/*.jsonl", ".codex/sessions/*/rollout-*.jsonl")


def home_with(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        place = folder / "home" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder / "home"


def kept(folder: Path) -> dict[str, bytes]:
    place = folder / "kept" / "turn-001"
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def test_what_matches_is_copied_and_nothing_else(tmp_path: Path):
    home = home_with(
        tmp_path,
        **{
            ".claude/projects/w/a.jsonl": b"1",
            ".claude/projects/w/deep/b.jsonl": b"2",
            ".claude/projects/w/a.txt": b"3",
            "a.jsonl": b"4",
        },
    )
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert kept(tmp_path) == {".claude/projects/w/a.jsonl": b"1"}


def test_a_link_to_a_file_of_the_host_is_not_followed(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host")
    home = home_with(tmp_path, **{".claude/projects/w/real.jsonl": b"1"})
    (home / ".claude/projects/w/link.jsonl").symlink_to(secret)
    (home / ".claude/projects/hard").symlink_to(tmp_path)
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert kept(tmp_path) == {".claude/projects/w/real.jsonl": b"1"}


def test_a_linked_folder_on_the_way_is_not_followed(tmp_path: Path):
    outside = tmp_path / "outside" / "w"
    outside.mkdir(parents=True)
    (outside / "x.jsonl").write_bytes(b"of the host")
    (tmp_path / "home" / ".claude").mkdir(parents=True)
    (tmp_path / "home" / ".claude" / "projects").symlink_to(tmp_path / "outside")
    native_log.keep(tmp_path / "home", PATTERNS, tmp_path / "kept" / "turn-001")
    assert kept(tmp_path) == {}


def test_a_pipe_that_never_answers_does_not_hold_the_run_up(tmp_path: Path):
    home = home_with(tmp_path, **{".claude/projects/w/real.jsonl": b"1"})
    os.mkfifo(home / ".claude/projects/w/pipe.jsonl")
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert kept(tmp_path) == {".claude/projects/w/real.jsonl": b"1"}


def test_sizes_and_numbers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native_log, "MAX_BYTES", 10)
    monkeypatch.setattr(native_log, "MAX_FILES", 3)
    home = home_with(tmp_path, **{f".claude/projects/w/{n}.jsonl": b"x" * 4 for n in range(9)})
    (home / ".claude/projects/w/0.jsonl").write_bytes(b"y" * 8)
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert [len(data) for data in kept(tmp_path).values()] == [8, 2]


def test_names_that_are_no_text_are_passed_by(tmp_path: Path):
    """No list of the record's files could hold them, and no archive."""
    home = home_with(tmp_path, **{".claude/projects/w/real.jsonl": b"1"})
    (home / ".claude/projects/w" / os.fsdecode(b"\xff\n.jsonl")).write_bytes(b"2")
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert list(kept(tmp_path).values()) == [b"1"]


def test_all_turns_of_a_run_share_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native_log, "MAX_BYTES", 10)
    home = home_with(tmp_path, **{".claude/projects/w/a.jsonl": b"x" * 8})
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-000")
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    assert [len(data) for data in kept(tmp_path).values()] == [2]


def test_a_file_without_content_but_with_a_length_takes_no_memory(tmp_path: Path):
    home = home_with(tmp_path, **{".claude/projects/w/a.jsonl": b""})
    os.truncate(home / ".claude/projects/w/a.jsonl", 200 * 2**20)
    tracemalloc.start()
    native_log.keep(home, PATTERNS, tmp_path / "kept" / "turn-001")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20
