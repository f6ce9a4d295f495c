"""Lists of files with their SHA-256, in the form that ``sha256sum`` writes and checks.

One line a file, ``DIGEST  PATH``, sorted by path (as UTF-8). Where a path holds a backslash or a line end, they are
written ``\\\\``, ``\\n`` and ``\\r``, and the line begins with a backslash. A set of files has exactly one such text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from curation_harness.errors import RecordInvalid

_LINE: Final = re.compile(rb"(\\?)([0-9a-f]{64})  ([^\n]+)\n")
_ESCAPES: Final = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_MEANT: Final = {written: meant for meant, written in _ESCAPES.items()}


def render(digests: Mapping[str, str]) -> bytes:
    """The list of path → digest."""
    return b"".join(_line(path, digests[path]) for path in sorted(digests, key=_encoded))


def parse(path: Path) -> dict[str, str]:
    """Read a list back, path → digest.

    Raises:
        RecordInvalid: it cannot be read, or is not exactly what ``render`` writes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordInvalid(f"{path}: {error.strerror}", hint="The record is incomplete.") from None
    found: dict[str, str] = {}
    at = 0
    for number, line in enumerate(_LINE.finditer(data), start=1):
        if line.start() != at:
            raise _damaged(path, number)
        at = line.end()
        try:
            name = _plain(line[3]).decode()
        except UnicodeDecodeError:
            raise _damaged(path, number) from None
        found[name] = line[2].decode()
    if at != len(data) or render(found) != data:
        raise _damaged(path, data[:at].count(b"\n") + 1)
    return found


def digest_of(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(path: str, digest: str) -> bytes:
    written = re.sub(rb"[\\\n\r]", lambda found: _ESCAPES[found[0]], _encoded(path))
    return (b"\\" if written != _encoded(path) else b"") + digest.encode() + b"  " + written + b"\n"


def _plain(written: bytes) -> bytes:
    return re.sub(rb"\\[\\nr]", lambda found: _MEANT[found[0]], written)


def _encoded(path: str) -> bytes:
    try:
        return path.encode()
    except UnicodeEncodeError:
        raise RecordInvalid(f"{path!a} is a name that is no text; a record holds none") from None


def _damaged(path: Path, line: int) -> RecordInvalid:
    return RecordInvalid(
        f"{path}, around line {line}: not a list as it was written", hint="The record was changed or damaged."
    )
