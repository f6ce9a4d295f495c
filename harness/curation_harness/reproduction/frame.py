"""What ``incontainer/trace.py`` says of a policy's run, read from the bytes of its container's output.

Those bytes are hostile but for their end: the tracer writes last, when no other process is there any more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

_LENGTH: Final = 16
"""Hexadecimal digits of the last length."""
_REPORT_BYTES: Final = 8 * 2**20
"""Longest report: its functions, their names, the end of what the policy printed."""
_PIECE: Final = 2**20
"""Bytes that are read at once."""

Name = Annotated[str, StringConstraints(max_length=200)]


class Report(BaseModel):
    """The tracer's report."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    code: int
    """The policy's exit code; negative: the signal that ended it."""
    late: bool
    """Whether its time was over."""
    seconds: float = Field(ge=0)
    """Wall time of the policy."""
    functions: tuple[tuple[Name, Name], ...] = Field(max_length=5000)
    """(file, qualified name) of what was entered."""
    forged: int = Field(ge=0)
    """Lines in the tracer's pipe that are not the tracer's."""
    said: str = Field(max_length=8000)
    """The end of what the policy printed."""
    output: Literal["whole", "missing", "no-file", "too-large"]
    """What was found where the selection was expected; ``no-file``: a link, a folder, a pipe or the like."""
    size: int = Field(ge=0)
    """Bytes of it, before the report."""


class Tail:
    """The last bytes of an output without a bound, in a file that nobody else can open. A context manager."""

    def __init__(self, most: int, folder: Path) -> None:
        """Args:
        most: bytes of the policy's output that may be handed over.
        folder: on a disk with room for them.
        """
        self._room = most + _REPORT_BYTES
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self.size = 0
        """Bytes that came, those that are gone among them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, piece: bytes) -> None:
        """Keep what came last; beyond the room, it goes over what came first."""
        skipped = max(0, len(piece) - self._room)
        self.size += skipped
        view = memoryview(piece)[skipped:]
        while view:
            place = self.size % self._room
            self._file.seek(place)
            written = self._file.write(view[: self._room - place])
            self.size += written
            view = view[written:]

    @property
    def kept(self) -> int:
        """How many of the last bytes are there."""
        return min(self.size, self._room)

    def pieces(self, begin: int, size: int) -> Iterator[bytes]:
        """``size`` bytes from ``begin`` bytes before the end on, some at a time."""
        at, left = self.size - begin, size
        while left:
            place = at % self._room
            self._file.seek(place)
            piece = self._file.read(min(left, _PIECE, self._room - place))
            yield piece
            at, left = at + len(piece), left - len(piece)

    def last(self, size: int) -> bytes:
        """The last bytes, as many as there are."""
        size = min(size, self.kept)
        return b"".join(self.pieces(size, size))


def read(tail: Tail, most: int, out: Path) -> Report | None:
    """The report, what the policy wrote put into the new file ``out``; none: they do not end with a whole report.

    Args:
        most: bytes of output that the tracer was told to hand over at most.
    """
    try:
        length = int(tail.last(_LENGTH).decode("ascii"), 16)
        if not 0 < length <= min(tail.kept - _LENGTH, _REPORT_BYTES):
            return None
        report = Report.model_validate_json(b"".join(tail.pieces(_LENGTH + length, length)))
    except (UnicodeDecodeError, ValueError, ValidationError):
        return None
    begin = _LENGTH + length + report.size
    if report.size > most or begin > tail.kept:
        return None
    with out.open("xb") as file:
        for piece in tail.pieces(begin, report.size):
            file.write(piece)
    return report
