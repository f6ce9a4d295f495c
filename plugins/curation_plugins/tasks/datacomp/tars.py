"""What a webdataset tar holds, and where: headers are walked, nothing is unpacked.

A sample is a run of neighbouring members whose names are equal up to the first dot of their last part (webdataset's
rule). A member's name never becomes a path.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from curation_plugins.errors import AssetsInvalid

IMAGES: Final = ("webp", "png", "jpg", "jpeg")
"""Endings of images; of several in one sample the first counts, as in DataComp's evaluation."""

HEADER_MOST: Final = 2**20
"""Bytes of an extended header (a long name, PAX records); those of DataComp's tools have a few hundred."""

_PLAIN: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)
_BROKEN: Final = (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError)
"""What headers raise that make no sense."""


@dataclass(frozen=True, slots=True)
class Part:
    """A member's content."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Sample:
    at: int
    """Offset of its first member's header, bytes."""
    key: str
    """What its members' names have in common."""
    parts: Mapping[str, Part]
    """By ending, in lower case."""

    def image(self) -> Part | None:
        return next((self.parts[ending] for ending in IMAGES if ending in self.parts), None)


def samples(path: Path, hint: str) -> Iterator[Sample]:
    """The samples of a tar, in order.

    Args:
        hint: what to do about a tar that cannot be used.

    Raises:
        AssetsInvalid: unreadable, cut off, no tar, with links or sparse members, or a sample has two members of one
            ending; it names the file and the offset.
    """
    begin, key, parts = 0, "", dict[str, Part]()
    for at, name, part in _members(path, hint):
        folder, _, last = name.rpartition("/")
        stem, _, ending = last.partition(".")
        own = f"{folder}/{stem}" if folder else stem
        if own != key:
            if parts:
                yield Sample(begin, key, parts)
            begin, key, parts = at, own, {}
        if ending.lower() in parts:
            raise AssetsInvalid(f"{path}, offset {at}: a sample has two members .{ending.lower()[:20]}", hint=hint)
        parts[ending.lower()] = part
    if parts:
        yield Sample(begin, key, parts)


class _Headers:
    """A tar's bytes as the library asks for them: for headers, of which an extended one may claim any length."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > HEADER_MOST:
            raise ValueError(f"a header of {size} bytes")
        return self._file.read(size)


def _members(path: Path, hint: str) -> Iterator[tuple[int, str, Part]]:
    """(offset of the header, name, content) of each file, in order."""
    at = 0
    try:
        size = path.stat().st_size
        with (
            path.open("rb") as file,
            tarfile.open(fileobj=cast(BinaryIO, _Headers(file)), mode="r:", errorlevel=2) as archive,
        ):
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined] # else all of them are kept
                at = member.offset
                if member.isdir():
                    continue
                if member.type not in _PLAIN or member.sparse is not None:
                    raise AssetsInvalid(f"{path}, offset {at}: {_short(member.name)} is no plain file", hint=hint)
                end = member.offset_data + member.size
                if member.size < 0 or end > size:
                    raise _cut(path, at, f"{_short(member.name)} would end at byte {end}", hint)
                yield at, member.name, Part(member.offset_data, member.size)
            at = archive.offset
        with path.open("rb") as file:  # the library takes the first header that makes no sense for the end
            file.seek(at)
            closing = file.read(tarfile.BLOCKSIZE)
    except _BROKEN as error:
        raise _cut(path, at, str(error) or type(error).__name__, hint) from None
    except OSError as error:
        raise AssetsInvalid(f"{path} cannot be read: {error.strerror or error}", hint=hint) from None
    if len(closing) < tarfile.BLOCKSIZE or closing.strip(b"\0"):
        raise _cut(path, at, "no end mark", hint)


def _cut(path: Path, at: int, why: str, hint: str) -> AssetsInvalid:
    return AssetsInvalid(f"{path} is cut off or damaged near byte {at} ({why})", hint=hint)


def _short(name: str) -> str:
    return repr(name if len(name) <= 60 else name[:60] + "…")
