"""A file for output that may never end: its beginning and its end are kept, the middle is counted."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Final, Self

HEAD: Final = 32 * 2**20
"""Bytes kept from the beginning, at once."""
TAIL: Final = 2**20
"""Bytes kept from the end, in memory until ``close``."""


class OutputLog:
    """Appends to ``path`` until the file holds ``head`` bytes; of the rest the last ``tail`` bytes follow at the
    end, after a line that says how much is left out.

    A container writes as fast as the host reads, so a plain log would fill the host's disk. A context manager;
    what was appended by an earlier process counts as head.
    """

    def __init__(self, path: Path, head: int = HEAD, tail: int = TAIL) -> None:
        self._file = path.open("ab", buffering=0)
        self._room = max(0, head - self._file.tell())
        self._tail: deque[bytes] = deque()
        self._tail_limit = tail
        self._tail_size = 0
        self._left_out = 0
        self._lock = threading.Lock()

    def write(self, piece: bytes) -> None:
        """Keep a piece. Nothing happens after ``close``: a container's last output may come late.

        Raises:
            OSError: the disk is full.
        """
        with self._lock:
            if self._file.closed:
                return
            now, later = piece[: self._room], piece[self._room :]
            if now:
                self._file.write(now)
                self._room -= len(now)
            if later:
                self._keep(later)

    def close(self) -> None:
        """Write what is kept of the end; repeatable."""
        with self._lock:
            if self._file.closed:
                return
            try:
                if self._left_out:
                    self._file.write(f"\n[{self._left_out} bytes of output are left out here]\n".encode())
                self._file.write(b"".join(self._tail))
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size > self._tail_limit:
            first = self._tail.popleft()
            kept = first[self._tail_size - self._tail_limit :]
            if kept:
                self._tail.appendleft(kept)
            self._left_out += len(first) - len(kept)
            self._tail_size -= len(first) - len(kept)
