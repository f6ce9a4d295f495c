"""A JSON list read one element at a time: LLaVA-665K is one list of a gigabyte."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation_plugins.errors import AssetsInvalid

BLOCK = 1 << 20
LONGEST = 64 << 20
"""Characters of one element above which the file is taken for something else."""
_BLANK = " \t\r\n"


def elements(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON file that is one list of objects, in order; memory holds one block and one object.

    Raises:
        AssetsInvalid: not such a file, or it breaks off; with the element's number.
    """
    decoder, number = json.JSONDecoder(), 0
    with path.open("rb") as file:
        buffer = _Buffer(file.read, path)
        buffer.expect("[", "a list was expected")
        while (mark := buffer.peek()) != "]":
            if number:
                buffer.expect(",", f"after element {number - 1} a comma was expected")
                mark = buffer.peek()
            if mark != "{":
                raise _invalid(path, f"element {number} is no object")
            yield buffer.element(decoder, number)
            number += 1
        buffer.expect("]", "the list's end was expected")
        if buffer.peek():
            raise _invalid(path, "something stands behind the list")


class _Buffer:
    """Decoded text of a file, as much as one element needs."""

    def __init__(self, read: Any, path: Path) -> None:
        self._read = read
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._place = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in _BLANK:
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def expect(self, mark: str, complaint: str) -> None:
        if (found := self.peek()) != mark:
            raise _invalid(self._path, f"{complaint}, found {found!r}" if found else f"it breaks off: {complaint}")
        self._place += 1

    def element(self, decoder: json.JSONDecoder, number: int) -> dict[str, Any]:
        """The object that begins here."""
        while True:
            try:
                value, self._place = decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if len(self._text) - self._place > LONGEST or not self._more():
                    raise _invalid(self._path, f"element {number}: {error.msg}") from None
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, a thousand brackets
                raise _invalid(self._path, f"element {number}: {error}") from None
            else:
                assert isinstance(value, dict)
                return value

    def _more(self) -> bool:
        """Drops what was read and appends a block; an element that needs several gets twice as much each time, so
        that it is not parsed anew for each block."""
        if self._ended:
            return False
        kept = self._text[self._place :]
        block = self._read(max(BLOCK, len(kept)))
        self._ended = not block
        try:
            self._text, self._place = kept + self._decoder.decode(block, final=self._ended), 0
        except UnicodeDecodeError as error:
            raise _invalid(self._path, f"it is not UTF-8 ({error.reason})") from None
        return not self._ended


def _invalid(path: Path, what: str) -> AssetsInvalid:
    return AssetsInvalid(f"{path.name} is no list of records: {what}", hint="Fetch it again.")
