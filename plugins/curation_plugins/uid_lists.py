"""Submissions of kind ``uids``: lists of up to many millions of DataComp's uids, read in bounded memory.

DataComp's own form is a sorted ``.npy`` file of dtype ``u8,u8``. Its tools check little of it: an unsorted list loses
samples, a 2-D one selects nothing, unknown uids are passed over, all without a word (resharder.py at 4a8df19). Here a
list is sorted, which its author is told, and whatever else would be lost refuses it, with counts and the first uids.
Importing this is cheap; NumPy is loaded where something is read.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList, SubmissionRefused
from curation_plugins.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_ONE_AT_A_TIME: Final = threading.Lock()
"""An agent may ask for several checks at once; their memory must not add up."""


def parse(
    data: Path,
    rules: SubmissionRules,
    table: Path,
    unreachable: Path | None = None,
    excluded: Collection[int] = (),
) -> Selection:
    """Read an agent's file: ``.npy``, parquet, text or JSONL, see ``curation_plugins.uids.parts``.

    A uid counts as often as it is named, or as its weight says; what was sorted or repeated is in the selection's
    ``notes``.

    Args:
        table: sorted ``.npy`` file of every uid that can be chosen, dtype ``u8,u8``; a row's id is its place in it.
        unreachable: likewise, those of the pool's metadata whose image is not there.
        excluded: row ids that nobody may choose.

    Raises:
        SubmissionRefused: with every reason, how many uids it concerns, and the first of them.
        ReaderFailed: a parquet file could not be looked at: ours.
    """
    with _ONE_AT_A_TIME:
        return _parsed(data, rules, table, unreachable, excluded)


def _parsed(
    data: Path, rules: SubmissionRules, table: Path, unreachable: Path | None, excluded: Collection[int]
) -> Selection:
    from curation_plugins.uids.parts import parts
    from curation_plugins.uids.tally import Tally

    problems = ProblemList()
    size = data.stat().st_size
    if size > rules.max_bytes:
        problems.add("too-large", f"the file has {size:,} bytes; at most {rules.max_bytes:,} are taken")
        raise SubmissionRefused(problems)
    tally = Tally(rules, table, unreachable)
    for part in parts(data, rules.rows_max * rules.repeats_max, problems):
        tally.add(part)
    chosen = tally.selection(excluded, problems)
    if chosen is None:
        raise SubmissionRefused(problems)
    return chosen


def of_selection(selection: Selection, table: Path) -> NDArray[np.void]:
    """The uids of a selection, each as often as its weight says: dtype ``u8,u8``, shape (n,), ascending."""
    import numpy as np

    from curation_plugins.uids.table import UID, pieces

    rows, weights = np.frombuffer(selection.rows, np.int64), np.frombuffer(selection.weights)
    found = [np.empty(0, UID)]
    for start, part in pieces(table):
        begin, end = np.searchsorted(rows, (start, start + len(part)))
        found.append(np.repeat(part[rows[begin:end] - start], weights[begin:end].astype(np.int64)))
    return np.concatenate(found)


def write_subset(path: Path, uids: NDArray[np.void]) -> None:
    """Write a list as DataComp's tools read it: sorted, ``.npy``, dtype ``u8,u8``.

    Args:
        uids: dtype ``u8,u8``, shape (n,), in any order.
    """
    import numpy as np

    from curation_plugins.uids.table import UID, order_of

    high, low = np.ascontiguousarray(uids["f0"]), np.ascontiguousarray(uids["f1"])
    with path.open("wb") as file:  # an open file: by a name, NumPy would append its own ending
        np.save(file, np.asarray(uids, UID)[order_of(high, low)], allow_pickle=False)


def of_hex(texts: Sequence[str]) -> NDArray[np.void]:
    """Uids of their text, dtype ``u8,u8``, shape (n,), in the order given.

    Raises:
        ValueError: one of them is no uid.
    """
    from curation_plugins.uids import digits

    return digits.of_hex(texts)


def to_hex(uids: NDArray[np.void]) -> list[str]:
    """The text of uids: 32 hexadecimal digits, lower case."""
    from curation_plugins.uids import digits

    return digits.to_hex(uids)
