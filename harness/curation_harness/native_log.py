"""Keeps copies of an agent program's own session log. The home they come from is the agent's: names, links and sizes
in it are hostile, the container has ended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 256 * 2**20
"""Of all files of a turn together; what comes after is left out."""
MAX_FILES: Final = 1000
MAX_SEEN: Final = 100_000
"""Files of a home that are looked at."""


def keep(home: Path, patterns: Sequence[str], target: Path) -> None:
    """Copy what matches (shell patterns relative to ``home``, ``*`` not crossing ``/``) to the same paths below
    ``target``. Regular files only: no link is followed.

    Raises:
        OSError: the record's disk is full.
    """
    room = MAX_BYTES
    for count, name in enumerate(_matching(home, patterns)):
        if count >= MAX_FILES or room <= 0:
            return
        data = _read(home / name, room)
        if data is None:
            continue
        room -= len(data)
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def _matching(home: Path, patterns: Sequence[str]) -> Iterator[Path]:
    parts = [Path(pattern).parts for pattern in patterns]
    seen = 0
    for folder, folders, names in os.walk(home):  # does not go into links
        folders.sort()
        at = Path(folder).relative_to(home)
        folders[:] = [name for name in folders if any(_begins((at / name).parts, wanted) for wanted in parts)]
        for name in sorted(names):
            seen += 1
            if seen > MAX_SEEN:
                return
            path = at / name
            if any(len(path.parts) == len(wanted) and _begins(path.parts, wanted) for wanted in parts):
                yield path


def _begins(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) <= len(pattern) and all(map(fnmatchcase, path, pattern))


def _read(path: Path, room: int) -> bytes | None:
    """A regular file's content, up to ``room`` bytes; None for anything else."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return None
        return file.read(room)
