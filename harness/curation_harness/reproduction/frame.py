"""What ``incontainer/trace.py`` says of a policy's run, read from the bytes of its container's output.

Those bytes are hostile but for their end: the tracer writes last, when no other process is there any more.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

_LENGTH: Final = 16
"""Hexadecimal digits of the last length."""
_REPORT_BYTES: Final = 8 * 2**20
"""Longest report: its functions, their names, the end of what the policy printed."""

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
    """The last bytes of an output without a bound."""

    def __init__(self, most: int) -> None:
        """Args:
        most: bytes of the policy's output that may be handed over.
        """
        self._most = most + _REPORT_BYTES
        self._pieces: deque[bytes] = deque()
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        while self._size - len(self._pieces[0]) > self._most:
            self._size -= len(self._pieces.popleft())

    def bytes(self) -> bytes:
        return b"".join(self._pieces)


def read(tail: bytes, most: int) -> tuple[Report, bytes] | None:
    """The report and what the policy wrote; none: they do not end with a whole report.

    Args:
        most: bytes of output that the tracer was told to hand over at most.
    """
    try:
        length = int(tail[-_LENGTH:].decode("ascii"), 16)
        end = len(tail) - _LENGTH
        if not 0 < length <= min(end, _REPORT_BYTES):
            return None
        report = Report.model_validate_json(tail[end - length : end])
    except (UnicodeDecodeError, ValueError, ValidationError):
        return None
    begin = end - length - report.size
    if report.size > most or begin < 0:
        return None
    return report, tail[begin : end - length]
