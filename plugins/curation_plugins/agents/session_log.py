"""Reads what an agent's program printed and logged.

All of it comes from the container and may be anything: bytes that are no text, lines of any length and depth,
folders and pipes where files belong. Nothing here raises, and memory stays bounded.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

LINE_BYTES: Final = 8 * 2**20
"""Longer lines are passed over."""
FILE_BYTES: Final = 256 * 2**20
"""Of one file no more is read."""
FILES: Final = 1000
"""Matching files that are read."""
LINE_CHARACTERS: Final = 2000
"""Of a text that is shown to a person while the agent works."""
NAMES: Final = 100_000
"""Ids that are remembered."""

_TEXT: Final = 200


def event_type(line: bytes) -> str | None:
    """``type`` of a line that is one JSON object; None for any other line."""
    entry = entry_of(line)
    kind = entry.get("type") if entry is not None else None
    return kind if isinstance(kind, str) else None


def entry_of(line: bytes) -> Mapping[str, Any] | None:
    """The JSON object that a line holds; None for any other line."""
    line = line.strip()
    if not line.startswith(b"{") or len(line) > LINE_BYTES:
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, a number of 10,000 digits, a depth of 100,000
        return None
    return entry if isinstance(entry, dict) else None


def first_line(text: object) -> str:
    """The first line with something in it, shortened; empty for anything that is no text."""
    lines = (line.strip() for line in (text[:LINE_CHARACTERS] if isinstance(text, str) else "").splitlines())
    return next((line for line in lines if line), "")


def entries(folder: Path, pattern: str) -> Iterator[tuple[Path, Iterator[Mapping[str, Any]]]]:
    """The files below ``folder`` that match, sorted, each with the JSON objects of its lines."""
    for path in _matching(folder, pattern):
        yield path, _lines(path)


def word(value: object) -> str | None:
    """A short printable text; None for anything else."""
    if isinstance(value, str) and 0 < len(value) <= _TEXT and value.isprintable():
        return value
    return None


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))[:FILES]
    except (OSError, RecursionError):
        return []


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        return
    with os.fdopen(number, "rb") as file:
        read = 0
        while read < FILE_BYTES:
            line = file.readline(LINE_BYTES + 1)
            if not line:
                return
            read += len(line)
            entry = entry_of(line)
            if entry is not None:
                yield entry
