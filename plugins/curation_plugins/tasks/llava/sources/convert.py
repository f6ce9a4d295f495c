"""A pool in LLaVA's published format brought into the pool layout.

Row order: line n of ``rows.jsonl`` is element n of the published JSON list, from 0. None is left out, moved or
merged, so that lists of positions published for the data set hold here. Turns are taken over unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from curation_plugins.errors import AssetsInvalid
from curation_plugins.hub.downloads import hard_link
from curation_plugins.tasks.llava.rows import IMAGES, Row, dump_row
from curation_plugins.tasks.llava.sources.json_stream import elements
from curation_plugins.tasks.llava.sources.registry import PoolEntry

_TELL_EVERY = 2000
"""Rows between two words of progress."""
_LONGEST_NAME = 255
"""Bytes of a file's name."""
_LONGEST_PATH = 1024
"""Characters of an image's path; a system takes 4,096 bytes, the cache's folder included."""
_LISTED = 5
"""Missing images that a message names."""


@dataclass
class Missing:
    """Rows whose image is not there."""

    rows: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, row: int, image: str) -> None:
        self.rows.append(row)
        if len(self.examples) < _LISTED:
            self.examples.append(f"row {row}: {image}")


def convert(
    entry: PoolEntry,
    annotations: Path,
    folders: Mapping[str, Path],
    pool: Path,
    progress: Callable[[str, float], None],
) -> Missing:
    """Writes ``pool/rows.jsonl`` and links the images the rows name below ``pool/images``.

    Memory holds one record. Images are hard links: the container sees the pool as one mounted folder, in which a
    symbolic link would point nowhere.

    Args:
        annotations: the JSON list.
        folders: how an image path begins → the fetched folder of such images.
        pool: made here.

    Raises:
        AssetsInvalid: a record is not in LLaVA's format, or there are more or fewer than expected.
    """
    finder = _Finder(entry, folders)
    linker = _Linker(pool)
    missing, count = Missing(), 0
    pool.mkdir(parents=True)
    with (pool / "rows.jsonl").open("wb") as out:
        for number, record in enumerate(elements(annotations)):
            row, line = _row(entry, annotations, number, record)
            out.write(line)
            if row.image is not None:
                image = row.image.removeprefix(IMAGES)
                if not linker.link(row.image, partial(finder.find, image)):
                    missing.add(number, image)
            count = number + 1
            if count % _TELL_EVERY == 0:
                progress(f"rows of {entry.title}: {count:,}", min(1.0, count / (entry.rows or 10 * count)))
    if entry.rows is not None and count != entry.rows:
        raise AssetsInvalid(
            f"{annotations.name} holds {count:,} records, and {entry.title} has {entry.rows:,}",
            hint="Fetch it again; another release needs its own pool entry.",
        )
    return missing


def _row(entry: PoolEntry, annotations: Path, number: int, record: Mapping[str, Any]) -> tuple[Row, bytes]:
    """The row, and its line of the file."""
    image = record.get("image")
    try:
        if image is not None and (not isinstance(image, str) or not _safe(image)):
            raise ValueError(f"image {str(image)[:100]!r} is no path below the image folders")
        row = Row.model_validate(
            {
                "id": str(record.get("id", number)),
                "source": _source(entry, record, image),
                "image": None if image is None else IMAGES + image,
                "conversations": record.get("conversations"),
            }
        )
        turns: list[tuple[str, str]] = [(turn.speaker, turn.value) for turn in row.conversations]
        return row, dump_row(row.id, row.source, row.image, turns).encode()  # half a surrogate pair cannot be
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        complaint = f"{where}: {first['msg']}"
    except ValueError as error:
        complaint = str(error)
    raise AssetsInvalid(f"{annotations.name}, record {number}: {complaint}", hint="Fetch it again.")


def _source(entry: PoolEntry, record: Mapping[str, Any], image: str | None) -> str:
    if entry.source_field is not None:
        return str(record.get(entry.source_field, ""))
    return PurePosixPath(image).parts[0] if image else "text"


def _safe(image: str) -> bool:
    path = PurePosixPath(image)
    inside = bool(path.name) and not path.is_absolute() and ".." not in path.parts
    short = len(image) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    return inside and short and "\0" not in image


class _Finder:
    """Where the file of an image path lies."""

    def __init__(self, entry: PoolEntry, folders: Mapping[str, Path]) -> None:
        self._entry = entry
        self._folders = folders
        self._prefixes = sorted(entry.images, key=len, reverse=True)
        self._inside: dict[str, str] = {}

    def find(self, image: str) -> Path | None:
        prefix = next((p for p in self._prefixes if not p or image.startswith(f"{p}/")), None)
        if prefix is None:
            return None
        rest = image[len(prefix) :].lstrip("/")
        known = self._inside.get(prefix)
        for inside in (known,) if known is not None else (*self._entry.images[prefix].inside, "."):
            for name in dict.fromkeys((rest, _escaped(rest))):
                path = self._folders[prefix] / inside / name
                if path.is_file():
                    self._inside[prefix] = inside
                    return path
        return None


def _escaped(name: str) -> str:
    """How Info-ZIP's unzip, in a place without UTF-8, names what is not ASCII: VisionFLAN's archive was made of such
    names, while its annotations have the true ones."""
    return "".join(mark if mark.isascii() else f"#U{ord(mark):04x}" for mark in name)


class _Linker:
    """Hard links below the pool, one for each image however many rows name it."""

    def __init__(self, pool: Path) -> None:
        self._pool = pool
        self._made: set[Path] = set()

    def link(self, image: str, find: Callable[[], Path | None]) -> bool:
        """Whether the image is there (now)."""
        target = self._pool / image
        if target.exists():
            return True
        source = find()
        if source is None:
            return False
        if target.parent not in self._made:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(target.parent)
        hard_link(source, target)
        return True


def refuse_missing(missing: Missing, entry: PoolEntry) -> None:
    """
    Raises:
        AssetsInvalid: rows whose image is not there, with the first few.
    """
    if missing.rows:
        raise AssetsInvalid(
            f"{len(missing.rows):,} row(s) of {entry.title} name an image that was not fetched:"
            f" {'; '.join(missing.examples)}{' …' if len(missing.rows) > len(missing.examples) else ''}",
            hint="Name a complete folder with `harness fetch --have`, or let nobody choose these rows:"
            " --set assets.missing_images=exclude (another pool than the full one).",
        )
