"""Server-sent events, read from bytes as they pass (WHATWG HTML Living Standard, 9.2.6 "Interpreting an event
stream")."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 16 * 2**20
"""Of one event. A reply's last event repeats the whole reply (Responses API); real ones stay below one MiB."""


class EventReader:
    """Splits a stream, cut anywhere, into the data of its events. Never raises; memory is bounded."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first_line = True
        self.lost = 0
        """Events left out because they were too large."""
        self._losing = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that ended in this piece, their lines joined by ``\\n``; other fields are left out."""
        done: list[bytes] = []
        for line in piece.splitlines(keepends=True):
            self._take(line, done)
        return done

    def _take(self, line: bytes, done: list[bytes]) -> None:
        if self._after_cr and line == b"\n":  # the second half of a CRLF that was cut in two
            self._after_cr = False
            return
        self._after_cr = line.endswith(b"\r")
        text = line.rstrip(b"\r\n")
        if self._size + len(self._line) + len(text) > self._most:
            self._losing = True
            self._line.clear()
            self._data.clear()
            self._size = 0
        elif not self._losing or not self._line:
            self._line += text
        if len(text) < len(line):
            ...
