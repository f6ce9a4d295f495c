"""Server-sent events, read from bytes as they pass (WHATWG HTML Living Standard, 9.2.6 "Interpreting an event
stream")."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 16 * 2**20
"""Of one event. The last event of the Responses API repeats the whole reply; real ones stay below one MiB."""

_BOM: Final = b"\xef\xbb\xbf"


class EventReader:
    """Splits a stream, cut anywhere, into the data of its events. Never raises; memory is bounded."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.lost = 0
        """Events left out because they were too large."""
        self._most = most_bytes
        self._line = bytearray()
        self._line_is_empty = True
        self._data = bytearray()
        self._losing = False
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that ended in this piece; an event's several lines are joined by ``\\n``."""
        if self._after_cr and piece.startswith(b"\n"):  # a CRLF that was cut in two
            piece = piece[1:]
            self._after_cr = False
        done: list[bytes] = []
        for part in piece.splitlines(keepends=True):
            text = part.rstrip(b"\r\n")
            self._grow(text)
            if len(text) < len(part):
                self._end_line(done)
        if piece:
            self._after_cr = piece.endswith(b"\r")
        return done

    def _grow(self, text: bytes) -> None:
        if text:
            self._line_is_empty = False
        if self._losing or len(self._data) + len(self._line) + len(text) > self._most:
            self._losing = True
            self._line = bytearray()
            self._data = bytearray()
        else:
            self._line += text

    def _end_line(self, done: list[bytes]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        empty, self._line_is_empty = self._line_is_empty, True
        if empty:
            self._end_event(done)
        elif not self._losing:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data += value.removeprefix(b" ") + b"\n"

    def _end_event(self, done: list[bytes]) -> None:
        if self._losing:
            self.lost += 1
            self._losing = False
        elif self._data:
            done.append(bytes(self._data[:-1]))
        self._data = bytearray()
