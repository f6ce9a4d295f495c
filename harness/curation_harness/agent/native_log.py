"""Keeps copies of an agent program's own session log. The home they come from is the agent's: names, links and sizes
in it are hostile, the container has ended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 256 * 2**20
"""Of all files of all turns of a run together; what comes after is left out."""
MAX_FILES: Final = 1000
"""Of one turn."""
MAX_SEEN: Final = 100_000
"""Files of a home that are looked at."""
MAX_PATH: Final = 900
"""Bytes of a path that is kept; the harness's own part of it comes on top."""
_PIECE: Final = 2**20


def keep(home: Path, patterns: Sequence[str], target: Path) -> None:
    """Copy what matches (shell patterns relative to ``home``, ``*`` not crossing ``/``) to the same paths below
    ``target``, which stands beside those of earlier turns. Regular files only: no link is followed.

    Raises:
        OSError: the record's disk is full.
    """
    room = MAX_BYTES - sum(path.stat().st_size for path in target.parent.rglob("*") if path.is_file())
    for name in islice(_matching(home, patterns), MAX_FILES):
        if room <= 0:
            return
        room -= _copy(home / name, target / name, room)


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
            if not _plain(path):
                continue
            if any(len(path.parts) == len(wanted) and _begins(path.parts, wanted) for wanted in parts):
                yield path


def _plain(path: Path) -> bool:
    """Whether a path can be listed, and packed into an archive: it is text, and not without end."""
    try:
        return len(path.as_posix().encode()) <= MAX_PATH
    except UnicodeEncodeError:
        return False


def _begins(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) <= len(pattern) and all(map(fnmatchcase, path, pattern))


def _copy(source: Path, target: Path, room: int) -> int:
    """Copy a regular file, up to ``room`` bytes of it; how many it were. Anything else is passed by."""
    try:
        number = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        copied = 0
        with target.open("wb") as copy:  # piece by piece: a file without content can have any length
            while copied < room and (piece := file.read(min(_PIECE, room - copied))):
                copied += copy.write(piece)
        return copied
