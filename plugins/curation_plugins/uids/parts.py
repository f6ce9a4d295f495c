"""A hostile file of uids, told apart by its first bytes and read a part at a time.

| form | begins with |
|---|---|
| ``.npy``, dtype ``u8,u8``, shape (n,): DataComp's | ``\\x93NUMPY`` |
| parquet with the column ``uid`` and, if wanted, ``weight`` | ``PAR1`` |
| JSONL, ``{"uid": "…", "weight": 2}`` | ``{`` |
| text, 32 hexadecimal digits a line | anything else that is text |

A raw array without a header (DataComp's ``np.memmap``) is refused: nothing tells it from any other bytes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from curation_plugins.errors import ProblemList
from curation_plugins.selection import GIVE_UP, MAX_LINE
from curation_plugins.uids.digits import DIGITS, halves
from curation_plugins.uids.parquet import read_parquet
from curation_plugins.uids.table import CHUNK, UID, Halves

BLOCK: Final = 2**23
"""Bytes of text that are read at once."""
MOST: Final = 2**63 - 1
"""The largest dimension that an array can have."""
ODD_LINES: Final = 10_000
"""Lines of JSON that are put together."""
BLANKS: Final = 64
"""At each end of a line, that are taken off many lines at once."""
_BLANK: Final = np.isin(np.arange(256), np.frombuffer(b" \t\r\v\f", np.uint8))
"""Byte → whether it is a blank, as of bytes.strip."""
_BINARY: Final = bytes({*range(9), 11, 12, *range(14, 32), 127})
_FORMS: Final = "a .npy file (dtype u8,u8), a parquet file, uids one a line, or JSONL"
_BAD_HEADER: Final = (
    *(ValueError, SyntaxError, TypeError, KeyError, OverflowError, RecursionError, MemoryError, TokenError),
)
"""What NumPy's reader of headers raises for bytes that are none."""


@dataclass(frozen=True)
class Part:
    """Some entries of a list, in the file's order; every array has shape (k,)."""

    high: Halves
    low: Halves
    entries: NDArray[np.int64]
    """1-based number of each entry or line."""
    weights: NDArray[np.float64] | None = None
    """As they stand in the file; none: 1 each."""


def parts(path: Path, entries_max: int, problems: ProblemList) -> Iterator[Part]:
    """Read a file; what cannot be read becomes a problem, and then nothing may follow.

    Args:
        entries_max: more entries are a problem, told before they are read where the form allows it.
    """
    with path.open("rb") as file:
        begin = file.read(64)
        file.seek(0)
        if begin.startswith(npy.MAGIC_PREFIX):
            yield from _npy(file, path.stat().st_size, entries_max, problems)
        elif begin.startswith(b"PAR1"):
            yield from _parquet(path, entries_max, problems)
        elif begin.startswith((b"PK\x03\x04", b"\x80")):
            what = "a pickle: it is never opened" if begin.startswith(b"\x80") else "a .npz or zip archive"
            problems.add("unreadable", f"the file is {what}; hand in {_FORMS}")
        elif begin.translate(None, _BINARY) != begin:
            problems.add("unreadable", f"the file is neither text nor a known form; hand in {_FORMS}")
        elif begin.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            yield from _bounded(_json_lines(file, problems), entries_max, problems)
        else:
            yield from _bounded(_text(file, problems), entries_max, problems)


def too_many(found: str, entries_max: int, problems: ProblemList) -> None:
    problems.add("too-many-entries", f"{found} uids; at most {entries_max:,} may be named, repeats counted")


def _bounded(found: Iterator[Part], entries_max: int, problems: ProblemList) -> Iterator[Part]:
    count = 0
    for part in found:
        count += len(part.entries)
        if count > entries_max:
            too_many(f"more than {entries_max:,}", entries_max, problems)
            return
        yield part


# -- .npy ----------------------------------------------------------------------------------------------


def _npy(file: BinaryIO, size: int, entries_max: int, problems: ProblemList) -> Iterator[Part]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers as Python 2 wrote them
            version = npy.read_magic(file)
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, _, dtype = read(file)
        if any(abs(count) > MOST for count in shape):  # no array has it, and Python may refuse to print the number
            raise ValueError("no shape of an array")
    except _BAD_HEADER:
        problems.add("bad-header", "the .npy file's header cannot be read; write it with numpy.save")
        return
    wrong = _not_uids(shape, dtype)
    if wrong is not None:
        problems.add(*wrong)
        return
    promised, there = shape[0], size - file.tell()
    if promised > entries_max:
        too_many(f"{promised:,}", entries_max, problems)
    if promised * dtype.itemsize != there:
        how = "the file was cut off" if there < promised * dtype.itemsize else "the header does not fit the file"
        whole = there // dtype.itemsize
        problems.add(
            "wrong-size", f"the header promises {promised:,} uids, and {there:,} bytes ({whole:,}) follow: {how}"
        )
    if problems:
        return
    first = 1
    while piece := file.read(CHUNK * dtype.itemsize):
        some = np.frombuffer(piece, dtype)
        one, other = dtype.names or ()
        high, low = some[one].astype(np.uint64), some[other].astype(np.uint64)
        yield Part(high, low, np.arange(first, first + len(some)))
        first += len(some)


def _not_uids(shape: tuple[int, ...], dtype: np.dtype[np.void]) -> tuple[str, str] | None:
    """Code and message, where the array is no list of uids."""
    told = str(dtype) if len(str(dtype)) <= 80 else str(dtype)[:80] + "…"
    if dtype.hasobject:
        return "pickled", f"the array holds pickled Python objects (dtype {told}); they are never opened: use u8,u8"
    fields = [dtype[name] for name in dtype.names or ()]
    padded = dtype.itemsize != UID.itemsize  # by any number of bytes, and a chunk of such entries has no bound
    if padded or len(fields) != 2 or any(field.kind != "u" or field.itemsize != 8 for field in fields):
        return "wrong-dtype", f"the array has dtype {told} and shape {shape}; dtype u8,u8 of shape (n,) is read"
    if len(shape) != 1:
        return "not-1-d", f"the array has {len(shape)} dimensions, shape {shape}; one is read, shape (n,)"
    return None


# -- parquet -------------------------------------------------------------------------------------------


def _parquet(path: Path, entries_max: int, problems: ProblemList) -> Iterator[Part]:
    with read_parquet(path, entries_max, problems) as found:
        first = 1
        for entries in found:
            numbers = np.arange(first, first + len(entries))
            yield Part(entries["high"].copy(), entries["low"].copy(), numbers, entries["weight"].copy())
            first += len(entries)


# -- text ----------------------------------------------------------------------------------------------


def _blocks(file: BinaryIO, problems: ProblemList) -> Iterator[tuple[int, bytes]]:
    """Whole lines, some at a time: the number of the first, and their bytes, the last one ended by a line feed."""
    line, left = 1, b""
    while more := file.read(BLOCK):
        whole, end, left = (left + more).rpartition(b"\n")
        if len(left) > MAX_LINE:
            number = line + whole.count(b"\n") + bool(end)
            problems.add("line-too-long", f"longer than {MAX_LINE} bytes", number)
            return
        if end:
            yield line, whole + end
            line += whole.count(b"\n") + 1
    if left:
        yield line, left + b"\n"


def _text(file: BinaryIO, problems: ProblemList) -> Iterator[Part]:
    for line, block in _blocks(file, problems):
        data = np.frombuffer(block.removeprefix(b"\xef\xbb\xbf") if line == 1 else block, np.uint8)
        ends = np.flatnonzero(data == 10)
        begins = np.concatenate([[0], ends[:-1] + 1])
        lengths = ends - begins
        begins, lengths = _without_blanks(data, begins, lengths)
        plain = np.flatnonzero(lengths == DIGITS)
        high, low = np.zeros(len(ends), np.uint64), np.zeros(len(ends), np.uint64)
        good = np.zeros(len(ends), bool)
        if len(plain):
            lines = np.lib.stride_tricks.sliding_window_view(data, DIGITS)[begins[plain]]
            high[plain], low[plain], good[plain] = halves(lines)
        for place in np.flatnonzero(~good & (lengths > 0)).tolist():
            uid = _spaced(bytes(data[begins[place] : begins[place] + min(int(lengths[place]), MAX_LINE)]))
            if uid is None:
                shown = bytes(data[begins[place] : ends[place]][:40])
                problems.add("not-a-uid", f"{_shown(shown)} is no uid: 32 hexadecimal digits", line + place)
                if len(problems) > GIVE_UP:
                    return
            elif uid:
                high[place], low[place], good[place] = *divmod(int(uid, 16), 2**64), True
        kept = np.flatnonzero(good)
        if len(kept):
            yield Part(high[kept], low[kept], kept + line)


def _without_blanks(
    data: NDArray[np.uint8], begins: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begins and lengths of lines less the first and last blanks, up to `BLANKS` at each end, for all lines at once:
    files with a blank before every line feed are not rare, and one line at a time takes twenty times as long."""
    begins, lengths = begins.copy(), lengths.copy()
    for side in ("end", "begin"):
        left = np.flatnonzero(lengths > 0)
        for _ in range(BLANKS):
            place = begins[left] if side == "begin" else begins[left] + lengths[left] - 1
            left = left[_BLANK[data[place]]]
            if not len(left):
                break
            lengths[left] -= 1
            begins[left] += side == "begin"
            left = left[lengths[left] > 0]
    return begins, lengths


def _spaced(line: bytes) -> bytes | None:
    """The uid of a line with blanks around it; empty: a blank line; none: it is no uid."""
    bare = line.strip()
    if not bare:
        return b""
    digits = np.frombuffer(bare, np.uint8)
    return bare if len(bare) == DIGITS and halves(digits[None, :])[2].all() else None


def _shown(data: bytes) -> str:
    """Bytes of an agent's for a message, printable whatever they are."""
    return ascii(data.decode("utf-8", "backslashreplace"))


# -- JSONL ---------------------------------------------------------------------------------------------


def _json_lines(file: BinaryIO, problems: ProblemList) -> Iterator[Part]:
    rows: list[tuple[bytes, float, int]] = []
    for first, block in _blocks(file, problems):
        text = block.removeprefix(b"\xef\xbb\xbf") if first == 1 else block
        for line, raw in enumerate(text.split(b"\n")[:-1], start=first):
            if not raw.strip():
                continue
            found = _of_json(raw, line, problems)
            if found is not None:
                rows.append((*found, line))
            elif len(problems) > GIVE_UP:
                return
            if len(rows) == ODD_LINES:
                yield _put_together(rows)
                rows = []
    if rows:
        yield _put_together(rows)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys; of a repeated one, JSON's reader would take the last without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


_JSON: Final = json.JSONDecoder(object_pairs_hook=_once)


def _of_json(raw: bytes, line: int, problems: ProblemList) -> tuple[bytes, float] | None:
    """A line's uid and weight; none where it has none, which becomes a problem."""
    try:
        entry = _JSON.decode(raw.decode())
        uid, weight = entry["uid"], entry.get("weight", 1)
        digits = uid.encode("ascii")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        problems.add("not-a-uid", 'not an object such as {"uid": "…", "weight": 2}, each key once', line)
        return None
    if entry.keys() - {"uid", "weight"}:
        unknown = min(str(key) for key in entry.keys() - {"uid", "weight"})
        problems.add("unknown-key", f"unknown key {unknown[:40]!a}", line)
    elif not _spaced(digits) or len(digits) != DIGITS:
        problems.add("not-a-uid", f"{_shown(digits[:40])} is no uid: 32 hexadecimal digits", line)
    elif isinstance(weight, bool) or not isinstance(weight, int | float) or abs(weight) > 1e9:
        problems.add("bad-weight", "a weight is a whole number, 1 or more", line)
    else:
        return digits, float(weight)
    return None


def _put_together(rows: list[tuple[bytes, float, int]]) -> Part:
    text = np.frombuffer(b"".join(row[0] for row in rows), np.uint8).reshape(-1, DIGITS)
    high, low, _ = halves(text)
    return Part(high, low, np.array([row[2] for row in rows]), np.array([row[1] for row in rows], np.float64))
