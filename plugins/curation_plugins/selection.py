"""What is chosen from a pool, how it is frozen, and how submissions of kind ``rows`` are read.

Of kind ``rows`` three plain forms are read, told apart by their first character: one id a line; JSONL with
``{"row": 12, "weight": 1.5}``; a JSON array of ids. (Kind ``uids`` is read by ``curation_plugins.uid_lists``.)

The canonical form, which is frozen, hashed and trained on, is in the order of row ids, so that the same rows are the
same submission however they were written. It is JSONL for ``rows``; for ``uids``, of which there may be millions, a
``.npy`` file of dtype ``FROZEN``.
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from curation_plugins.config import Kind, SubmissionRules
from curation_plugins.errors import ProblemList, SubmissionRefused

if TYPE_CHECKING:  # NumPy is loaded where a selection of uids is frozen or read, not where a plugin is imported
    import numpy as np

MAX_LINE = 4096
"""Bytes; no honest line comes near it."""

GIVE_UP = 10_000
"""Problems after which reading ends: a file of millions of bad lines must not keep the host busy."""

FROZEN: Final = [("row", "<i8"), ("weight", "<f8")]
"""One entry of the frozen form of kind ``uids``."""

_ENTRY: Final = 16
"""Bytes of it."""
_HEAD: Final = 128
"""Bytes before the first entry."""
_MAGIC: Final = b"\x93NUMPY\x01\x00"
"""Of the ``.npy`` format, version 1.0 (numpy.lib.format)."""
_CHUNK: Final = 2**20
"""Entries that are frozen or read at once: bounds memory."""

_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
"""As JSON knows them."""


@dataclass(frozen=True)
class Selection:
    """Accepted rows in ascending order of id, each once.

    Both columns are plain arrays: 16 bytes a row, and NumPy reads them where they lie (``numpy.frombuffer``).
    """

    rows: array[int]
    """Type code ``q``."""
    weights: array[float]
    """Type code ``d``, one a row. Of kind ``uids``: how often a row was named."""
    kind: Kind = "rows"
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What the reader of the file did that its author should know, e.g. that it was sorted."""

    def canonical(self) -> bytes:
        """The frozen form: for ``rows`` one ``{"row":…,"weight":…}`` a line, ascending, newline-terminated; for
        ``uids`` a ``.npy`` file."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The frozen form in pieces of bounded size."""
        return self._lines() if self.kind == "rows" else self._entries()

    def write(self, path: Path) -> None:
        """Write the frozen form."""
        with path.open("wb") as file:
            for piece in self.pieces():
                file.write(piece)

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        total = hashlib.sha256()
        for piece in self.pieces():
            total.update(piece)
        return total.hexdigest()

    def _lines(self) -> Iterator[bytes]:
        for row, weight in zip(self.rows, self.weights, strict=True):
            yield json.dumps({"row": row, "weight": weight}, separators=(",", ":")).encode() + b"\n"

    def _entries(self) -> Iterator[bytes]:
        import numpy as np

        rows, weights = np.frombuffer(self.rows, np.int64), np.frombuffer(self.weights, np.float64)
        yield _head(len(rows))
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            entries = np.empty(len(part), np.dtype(FROZEN))
            entries["row"], entries["weight"] = part, weights[start : start + _CHUNK]
            yield entries.tobytes()


def of_rows(rows: Iterable[int], kind: Kind = "rows") -> Selection:
    """A selection without weights, from ids that are known to be good (references, tests)."""
    if kind == "uids":
        import numpy as np

        ids = np.sort(np.fromiter(rows, np.int64) if not hasattr(rows, "__array__") else np.asarray(rows, np.int64))
        return of_arrays(ids, np.ones(len(ids)))
    ordered = array("q", sorted(rows))
    return Selection(ordered, array("d", [1.0]) * len(ordered))


def of_arrays(rows: np.ndarray, weights: np.ndarray, notes: tuple[str, ...] = ()) -> Selection:
    """A selection of kind ``uids``.

    Args:
        rows: integers of shape (n,), ascending and distinct. weights: numbers of the same shape.
    """
    import numpy as np

    ids, shares = array("q"), array("d")
    for start in range(0, len(rows), _CHUNK):
        ids.frombytes(np.ascontiguousarray(rows[start : start + _CHUNK], np.int64).view(np.uint8))  # type: ignore[arg-type]
        shares.frombytes(np.ascontiguousarray(weights[start : start + _CHUNK], np.float64).view(np.uint8))  # type: ignore[arg-type]
    return Selection(ids, shares, "uids", notes)


def shared(one: array[int], other: array[int]) -> int:
    """How many rows are in both of two selections; each ascending and distinct, type code ``q``."""
    import numpy as np

    small, large = sorted((np.frombuffer(one, np.int64), np.frombuffer(other, np.int64)), key=len)
    found = 0
    for start in range(0, len(small) if len(large) else 0, _CHUNK):
        part = small[start : start + _CHUNK]
        places = np.searchsorted(large, part)
        found += int(np.count_nonzero(large[np.minimum(places, len(large) - 1)] == part))
    return found


def jaccard(one: array[int], other: array[int]) -> float:
    """Shared rows as a share of all rows of both, see ``shared``; 1 for two empty ones."""
    common = shared(one, other)
    together = len(one) + len(other) - common
    return common / together if together else 1.0


def read_canonical(path: Path) -> Selection:
    """Read a frozen selection of either kind back.

    Raises:
        ValueError: it is none.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) == _MAGIC:
            return _checked(_read_entries(file, path))
        file.seek(0)
        rows, weights = array("q"), array("d")
        try:
            for line in file:
                entry = json.loads(line)
                rows.append(entry["row"])
                weights.append(entry["weight"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"line {len(rows) + 1}: {error}") from None
    return _checked(Selection(rows, weights))


def _checked(found: Selection) -> Selection:
    """What reads a record indexes a pool by these rows."""
    import numpy as np

    rows, weights = np.frombuffer(found.rows, np.int64), np.frombuffer(found.weights, np.float64)
    last = -1
    for start in range(0, len(rows), _CHUNK):
        part, shares = rows[start : start + _CHUNK], weights[start : start + _CHUNK]
        if part[0] <= last or np.any(part[1:] <= part[:-1]):
            raise ValueError("its rows do not ascend from 0, each once")
        if not np.all(np.isfinite(shares) & (shares > 0)):
            raise ValueError("its weights are not all positive numbers")
        last = int(part[-1])
    return found


def _read_entries(file: BinaryIO, path: Path) -> Selection:
    import numpy as np

    count, left = divmod(path.stat().st_size - _HEAD, _ENTRY)
    file.seek(0)
    if count < 0 or left or file.read(_HEAD) != _head(count):
        raise ValueError("the header is not the one of a frozen selection of that size")
    rows, weights = array("q"), array("d")
    while piece := file.read(_CHUNK * _ENTRY):
        entries = np.frombuffer(piece, np.dtype(FROZEN))
        rows.frombytes(entries["row"].tobytes())
        weights.frombytes(entries["weight"].tobytes())
    return Selection(rows, weights, "uids")


def _head(count: int) -> bytes:
    """Header of the frozen form: written here, so that no version of NumPy decides over a digest."""
    text = repr({"descr": FROZEN, "fortran_order": False, "shape": (count,)}).encode()
    room = _HEAD - len(_MAGIC) - 2
    return _MAGIC + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


def parse(data: Path, rules: SubmissionRules, pool_rows: int, excluded: Collection[int] = ()) -> Selection:
    """Read an agent's file of kind ``rows``.

    Args:
        excluded: rows of the pool that nobody may choose.

    Raises:
        SubmissionRefused: with every reason and the line it concerns.
    """
    problems = ProblemList()
    if data.stat().st_size > rules.max_bytes:
        problems.add("too-large", f"the file is larger than {rules.max_bytes} bytes")
        raise SubmissionRefused(problems)
    chosen: dict[int, float] = {}
    for line, entry in _entries(data, problems):
        if len(problems) > GIVE_UP:
            break
        row, weight = _row_and_weight(entry, line, rules, problems)
        if row is None:
            continue
        if not 0 <= row < pool_rows:
            known = f"ids go from 0 to {pool_rows - 1}"
            problems.add("unknown-row", f"row {_short(row)} is not in the pool; {known}", line)
        elif row in excluded:
            problems.add("excluded-row", f"row {row} may not be chosen: it is in the pool's excluded.json", line)
        elif row in chosen:
            problems.add("repeated-row", f"row {row} stands in an earlier line too", line)
        else:
            chosen[row] = weight
    if len(chosen) > rules.rows_max:
        problems.add("too-many-rows", f"{len(chosen)} rows; at most {rules.rows_max} may be selected")
    if not chosen and not problems:
        problems.add("empty", "no rows: one id a line was expected")
    if problems:
        raise SubmissionRefused(problems)
    rows = array("q", sorted(chosen))
    return Selection(rows, array("d", [chosen[row] for row in rows]))


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 10**20:
        return "(a huge number)"
    if isinstance(value, list | dict):  # one nested as deeply as the parser takes is too deep for repr
        return "(a list)" if isinstance(value, list) else "(an object)"
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _entries(data: Path, problems: ProblemList) -> Iterator[tuple[int, object]]:
    """(1-based line, parsed JSON value) pairs; what cannot be read becomes a problem."""
    with data.open("rb") as file:
        if file.read(1) == b"[":
            file.seek(0)
            yield from _of_array(file.read(), problems)
            return
        file.seek(0)
        line = 0
        while raw := file.readline(MAX_LINE + 1):
            line += 1
            if len(raw) > MAX_LINE:
                problems.add("line-too-long", f"longer than {MAX_LINE} bytes", line)
                return
            if not raw.strip():
                continue
            try:
                yield line, json.loads(raw)
            except (ValueError, RecursionError):
                what = 'neither a row id nor a JSON object such as {"row": 12}'
                problems.add("not-a-row", what, line)
                if len(problems) > GIVE_UP:
                    return


def _of_array(data: bytes, problems: ProblemList) -> Iterator[tuple[int, object]]:
    """(1-based place, value) of each entry of a JSON array, read one by one: a file of brackets, read at once, would
    take twenty times its size."""
    place, whole = 0, False
    try:
        text = data.decode()
        at = _next(text, 1)
        more = not text.startswith("]", at)
        while more:
            value, at = _entry_at(text, at)
            place += 1
            yield place, value
            at = _next(text, at)
            more = text.startswith(",", at)
            at = _next(text, at + 1) if more else at
        whole = text.startswith("]", at) and _next(text, at + 1) == len(text)
    except (ValueError, RecursionError):
        pass
    if not whole:
        problems.add("not-json", "begins with '[' but is no JSON array of entries")


def _next(text: str, at: int) -> int:
    """The place of what follows the blanks, if any."""
    found = _BLANKS.match(text, at)
    return found.end() if found is not None else at


def _entry_at(text: str, at: int) -> tuple[object, int]:
    """The JSON value that begins there, and where it ends. One that could hold others may not be longer than a line.

    Raises:
        ValueError, RecursionError: there is none.
    """
    if not text.startswith(("[", "{", '"'), at):
        return _DECODER.raw_decode(text, at)
    value, size = _DECODER.raw_decode(text[at : at + MAX_LINE])
    return value, at + size


def _row_and_weight(
    entry: object, line: int, rules: SubmissionRules, problems: ProblemList
) -> tuple[int | None, float]:
    weight: object = 1.0
    row = entry
    if isinstance(entry, dict):
        unknown = sorted(str(key) for key in entry.keys() - {"row", "weight"})
        if unknown:
            problems.add("unknown-key", f"unknown key {_short(unknown[0])!r}", line)
            return None, 1.0
        row, weight = entry.get("row"), entry.get("weight", 1.0)
    if not isinstance(row, int) or isinstance(row, bool):
        problems.add("not-a-row", f"{_short(row)!r} is no row id (an integer)", line)
        return None, 1.0
    # NaN compares false with everything, and a huge integer is compared before it could overflow a float
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1000:
        problems.add("bad-weight", "a weight is a number above 0, at most 1000", line)
        return None, 1.0
    if weight != 1 and not rules.weights:
        problems.add("no-weights", "this task takes rows without weights", line)
        return None, 1.0
    return row, float(weight)
