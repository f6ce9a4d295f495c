"""Evaluation sets on disk, in the webdataset layout of the hub's ``wds_*_test``.

::

    wds_<set>_test/
        classnames.txt                          a class a line, by number; classification only
        zeroshot_classification_templates.txt   a template a line, the class name's place is {c}; classification only
        test/nshards.txt                        how many tars there are
        test/0.tar, 1.tar, …                    samples: KEY.(webp|png|jpg|jpeg) and, by the set's kind,
                                                classification: KEY.cls (the class's number), KEY.npy (its columns);
                                                retrieval: KEY.txt (a caption a line); attributes: KEY.npy;
                                                association: images alone, and KEY.json without an image:
                                                {"cue": text, "candidates": [KEY], "associations": [KEY]}

Files are fetched from strangers: sizes are bounded, nothing is unpacked, no pickle is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp import tars
from curation_plugins.tasks.datacomp.evaluation.sets import EvaluationSet, look_up

IMAGE_MOST: Final = 64 * 2**20
TEXT_MOST: Final = 2**20
"""Bytes of one member, or of a text file; those of DataComp's sets are far smaller."""
SHARDS_MOST: Final = 10_000
MISSING_SHARE: Final = 0.01
"""So far the number of items may be from the one known, as a share. DataComp's own list counts one item more than
some editions of a set have; a forgotten shard is far beyond."""

_HINT: Final = (
    "Fetch the set again (docs/datacomp-evaluation.md says what lies where), or leave it out: --set benchmarks=[…];"
    " the mean is then named partial."
)
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "classification": ("classnames.txt", "zeroshot_classification_templates.txt"),
    "attributes": ("classnames.txt", "zeroshot_classification_templates.txt"),
    "retrieval": (),
    "association": (),
}


@dataclass(frozen=True)
class Item:
    """A sample of a set."""

    shard: int
    sample: tars.Sample

    @property
    def name(self) -> str:
        """Unique in its set."""
        return f"{self.shard}/{self.sample.key}"


@dataclass(frozen=True)
class SetFiles:
    """A set's files, looked through: every tar is whole and has what its kind needs."""

    entry: EvaluationSet
    shards: tuple[Path, ...]
    items: tuple[Item, ...]
    """Samples with an image, in the order of the tars."""
    instances: tuple[Item, ...]
    """Samples of an association set that have no image and say what is asked."""

    @property
    def folder(self) -> Path:
        return self.shards[0].parent.parent

    @cached_property
    def digest(self) -> str:
        """Names this copy of the set: which tars, how long and how old. SHA-256, hexadecimal."""
        total = hashlib.sha256(self.entry.key.encode())
        for shard in self.shards:
            stat = shard.stat()
            total.update(f"\0{shard.name} {stat.st_size} {stat.st_mtime_ns}".encode())
        return total.hexdigest()

    def read(self, item: Item, ending: str, most: int = TEXT_MOST) -> bytes:
        """A member's content.

        Raises:
            AssetsInvalid: the sample has none of that ending, or it is longer than any should be.
        """
        part = item.sample.parts.get(ending)
        if part is None:
            raise self.wrong(item, f"has no .{ending}")
        return self._bytes(item, part, most)

    def image(self, item: Item) -> bytes:
        """Its image file's bytes."""
        part = item.sample.image()
        if part is None:
            raise self.wrong(item, "has no image")
        return self._bytes(item, part, IMAGE_MOST)

    def _bytes(self, item: Item, part: tars.Part, most: int) -> bytes:
        if part.size > most:
            raise self.wrong(item, f"has a member of {part.size} bytes; more than {most} make no sense")
        with self.shards[item.shard].open("rb") as file:
            found = os.pread(file.fileno(), part.size, part.offset)
        if len(found) != part.size:
            raise self.wrong(item, "ends early; the file changed while it was read")
        return found

    def wrong(self, item: Item, what: str) -> AssetsInvalid:
        where = f"{self.shards[item.shard]}, sample {item.sample.key[:60]!r} at byte {item.sample.at}"
        return AssetsInvalid(f"{where} {what}", hint=_HINT)

    def label(self, item: Item, classes: int) -> int:
        """Its class, below ``classes``."""
        told = self.read(item, "cls").strip()
        if not told.isdigit() or len(told) > 9 or int(told) >= classes:  # bytes: ASCII digits only
            raise self.wrong(item, f"is of class {told[:20]!r}, and there are {classes}, numbered from 0")
        return int(told)

    def row(self, item: Item, wanted: Sequence[str]) -> NDArray[np.int64]:
        """Its values of some of the set's columns, shape (wanted,). What stands in the others does not matter:
        iWildCam has −1 where a date is not known."""
        try:
            found = np.load(io.BytesIO(self.read(item, "npy")), allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise self.wrong(item, f"has a .npy that cannot be read ({error})") from None
        columns = self.entry.columns
        if not isinstance(found, np.ndarray) or found.shape != (len(columns),) or found.dtype.kind not in "iuf":
            raise self.wrong(item, f"has a .npy that is not {len(columns)} numbers")
        values = found[[columns.index(column) for column in wanted]]
        if not all(0 <= value < 2**53 for value in values.tolist()):
            raise self.wrong(
                item, f"has a .npy with numbers that name no group: {dict(zip(wanted, values.tolist(), strict=True))}"
            )
        return values.astype(np.int64)

    def captions(self, item: Item) -> tuple[str, ...]:
        """Its captions, one or more."""
        found = tuple(line.strip() for line in self._text(item, "txt").split("\n") if line.strip())
        if not found:
            raise self.wrong(item, "has no caption")
        return found

    def instance(self, item: Item) -> tuple[str, tuple[str, ...], frozenset[str]]:
        """Cue, keys of the candidate images, and those of them that belong to it."""
        try:
            told = json.loads(self._text(item, "json"))
            cue, candidates, right = (told[key] for key in ("cue", "candidates", "associations"))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self.wrong(item, "is not {cue, candidates, associations}") from None
        if not isinstance(cue, str) or not cue or not _texts(candidates) or not _texts(right):
            raise self.wrong(item, "is not {cue: text, candidates: [key], associations: [key]}")
        if len(set(candidates)) != len(candidates) or not right or not set(right) <= set(candidates):
            raise self.wrong(item, "has associations that are not some of its candidates, or a candidate twice")
        return cue, tuple(candidates), frozenset(right)

    def _text(self, item: Item, ending: str) -> str:
        try:
            return self.read(item, ending).decode("utf-8")
        except UnicodeDecodeError:
            raise self.wrong(item, f"has a .{ending} that is not UTF-8") from None

    def classes(self) -> tuple[str, ...]:
        """Class names by number.

        Raises:
            AssetsInvalid: none, or not as many as the set has.
        """
        path = self.folder / "classnames.txt"
        found = tuple(line.strip() for line in _read(path).splitlines())
        known = self.entry.classes
        if not found or (known is not None and len(found) != known):
            raise AssetsInvalid(f"{path}: {len(found)} class names, {known} expected", hint=_HINT)
        return found

    def templates(self) -> tuple[str, ...]:
        """Prompts with ``{c}`` where the class name goes.

        Raises:
            AssetsInvalid: none, or one without a place for the name.
        """
        path = self.folder / "zeroshot_classification_templates.txt"
        found = tuple(line.strip() for line in _read(path).splitlines() if line.strip())
        odd = [line for line in found if "{c}" not in line]
        if not found or odd:
            what = f"line {odd[0][:60]!r} has no place {{c}} for the class name" if odd else "is empty"
            raise AssetsInvalid(f"{path}: {what}", hint=_HINT)
        return found


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def open_set(folder: Path, entry: EvaluationSet) -> SetFiles:
    """Look through a set's tars; ``folder`` holds all sets.

    Raises:
        AssetsInvalid: a file is missing, damaged or not of this layout; it is named.
    """
    shards = _shards(folder / entry.folder)
    items, instances = list[Item](), list[Item]()
    seen = set[str]()
    for number, shard in enumerate(shards):
        if entry.kind != "association":  # whose instances name images by key alone, whichever tar they are in
            seen = set()
        for sample in tars.samples(shard, _HINT):
            if sample.key in seen:
                raise AssetsInvalid(f"{shard}: sample {sample.key[:60]!r} comes twice", hint=_HINT)
            seen.add(sample.key)
            if sample.image() is not None:
                items.append(Item(number, sample))
            elif entry.kind == "association" and "json" in sample.parts:
                instances.append(Item(number, sample))
            else:
                raise AssetsInvalid(f"{shard}: sample {sample.key[:60]!r} has no image", hint=_HINT)
    asked = len(instances) if entry.kind == "association" else len(items)
    if not asked or (entry.items is not None and abs(asked - entry.items) > MISSING_SHARE * entry.items):
        known = f", and {entry.name} has {entry.items}" if entry.items is not None else ""
        raise AssetsInvalid(f"{shards[0].parent}: {asked} items were found{known}", hint=_HINT)
    return SetFiles(entry, shards, tuple(items), tuple(instances))


def _shards(folder: Path) -> tuple[Path, ...]:
    path = folder / "test" / "nshards.txt"
    told = _read(path).strip()
    if not (told.isascii() and told.isdigit() and len(told) < 9 and 0 < int(told) <= SHARDS_MOST):
        raise AssetsInvalid(f"{path}: {told[:40]!r} is not how many tars there are", hint=_HINT)
    shards = tuple(folder / "test" / f"{number}.tar" for number in range(int(told)))
    gone = [shard for shard in shards if not shard.is_file()]
    if gone:
        raise AssetsInvalid(f"{gone[0]} is missing ({len(gone)} of {len(shards)} tars are)", hint=_HINT)
    return shards


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(TEXT_MOST + 1)
        if len(found) > TEXT_MOST:
            raise AssetsInvalid(f"{path}: longer than {TEXT_MOST} bytes", hint=_HINT)
        return found.decode("utf-8")
    except OSError as error:
        raise AssetsInvalid(f"{path}: {error.strerror}", hint=_HINT) from None
    except UnicodeDecodeError:
        raise AssetsInvalid(f"{path}: not UTF-8", hint=_HINT) from None


def missing(folder: Path, keys: Iterable[str]) -> tuple[str, ...]:
    """What of these sets is not there, a line a set; a cheap look, no tar is opened."""
    found = list[str]()
    for key in keys:
        entry = look_up(key)
        try:
            _shards(folder / entry.folder)
            for name in _NEEDED[entry.kind]:
                _read(folder / entry.folder / name)
        except AssetsInvalid as error:
            found.append(f"{key}: {error}")
    return tuple(found)


def require(folder: Path, keys: Iterable[str]) -> None:
    """See that these sets are there: a missing one is never a score of zero.

    Raises:
        AssetsInvalid: naming each that is not.
    """
    lacking = missing(folder, keys)
    if lacking:
        raise AssetsInvalid("evaluation sets are missing: " + "; ".join(lacking), hint=_HINT)
