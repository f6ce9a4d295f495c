"""The log of output that a container may write without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_sandbox.output_log import OutputLog


def write(path: Path, *pieces: bytes, head: int = 10, tail: int = 6) -> bytes:
    with OutputLog(path, head=head, tail=tail) as log:
        for piece in pieces:
            log.write(piece)
    return path.read_bytes()


def test_short_output_is_kept_as_it_is(tmp_path: Path) -> None:
    assert write(tmp_path / "log", b"abc", b"def") == b"abcdef"


def test_output_that_just_fits_has_no_gap(tmp_path: Path) -> None:
    assert write(tmp_path / "log", b"0123456789", b"abcdef") == b"0123456789abcdef"


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_endless_output_keeps_its_beginning_and_its_end(tmp_path: Path, size: int) -> None:
    whole = bytes(range(32, 127)) * 100
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert write(tmp_path / "log", *pieces) == (
        whole[:10] + f"\n[{len(whole) - 16} bytes of output are left out here]\n".encode() + whole[-6:]
    )


def test_the_beginning_is_on_disk_at_once(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "log", head=4)
    log.write(b"123456")
    assert (tmp_path / "log").read_bytes() == b"1234"
    log.close()


def test_output_after_a_resume_counts_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "log", b"01234567")
    gap = b"\n[2 bytes of output are left out here]\n"
    assert write(tmp_path / "log", b"89abcdefgh") == b"0123456789" + gap + b"cdefgh"


def test_late_output_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "log")
    log.write(b"a")
    log.close()
    log.write(b"b")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"a"
