"""How often each row of a pool is named by a list of uids; and what in the list is wrong."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList
from curation_plugins.selection import Selection
from curation_plugins.uids.parts import Part
from curation_plugins.uids.table import CHUNK, Ranks, UidTable, first_descent, order_of

SHOWN: Final = 5
"""Uids that a reason names."""
NEARLY_ALL: Final = 0.9
"""A list of which this share is unknown is one of another pool."""


class Strays:
    """Uids that cannot be chosen, of one kind: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[tuple[int, str]] = []
        """(entry, uid), in the file's order."""

    def add(self, part: Part, which: NDArray[np.bool_]) -> None:
        places = np.flatnonzero(which)
        self.count += len(places)
        if len(places) and len(self.first) < SHOWN:
            early = places[np.argsort(part.entries[places])[:SHOWN]]
            told = [(int(part.entries[k]), f"{int(part.high[k]):016x}{int(part.low[k]):016x}") for k in early]
            self.first = sorted(self.first + told)[:SHOWN]

    def told(self) -> str:
        more = ", …" if self.count > len(self.first) else ""
        return "the first: " + ", ".join(f"{uid} (entry {entry:,})" for entry, uid in self.first) + more


class Tally:
    """Adds up the parts of one list. Memory: 18 bytes for each row of the pool, and as much again for the result."""

    def __init__(self, rules: SubmissionRules, table: Path, unreachable: Path | None) -> None:
        self._rules = rules
        self._table = UidTable(table)
        self._unreachable = unreachable
        self._gone: UidTable | None = None
        self._cap = rules.repeats_max + 1
        self._counts = np.zeros(len(self._table), np.uint16)
        """Per row, up to one more than a row may be named."""
        self._last: tuple[int, int] = (0, 0)
        self._unsorted: int | None = None
        self._entries = 0
        self._unknown, self._unreached, self._misweighted = Strays(), Strays(), Strays()

    def add(self, part: Part) -> None:
        self._entries += len(part.entries)
        self._look_at_order(part)
        if first_descent(part.high, part.low) is not None:
            order = order_of(part.high, part.low)
            weights = None if part.weights is None else part.weights[order]
            part = Part(part.high[order], part.low[order], part.entries[order], weights)
        ranks = self._table.find(part.high, part.low)
        known = ranks >= 0
        if not known.all():
            self._sort_out(part, ~known)
        if part.weights is not None:
            whole = (part.weights >= 1) & (part.weights == np.floor(part.weights)) & np.isfinite(part.weights)
            self._misweighted.add(part, ~whole)
            known &= whole
        self._count(ranks[known], None if part.weights is None else part.weights[known])

    def selection(self, excluded: Collection[int], problems: ProblemList) -> Selection | None:
        """What was chosen; none where anything is wrong, which becomes a problem. The tally is used up."""
        self._strange(problems)
        self._too_often(problems)
        self._excluded(excluded, problems)
        chosen, samples = int(np.count_nonzero(self._counts)), int(self._counts.sum(dtype=np.int64))
        if chosen > self._rules.rows_max:
            problems.add("too-many-rows", f"{chosen:,} uids; at most {self._rules.rows_max:,} may be selected")
        if not self._entries and not problems:
            problems.add("empty", "no uids: the file names none")
        elif samples < self._rules.samples_min and not problems:
            least = self._rules.samples_min
            problems.add("too-few", f"{samples:,} samples; at least {least:,} are needed, repeats counted")
        if problems:
            return None
        del self._table, self._gone  # before the result is made: memory
        return self._made(self._notes(chosen, samples))

    # -- pieces --------------------------------------------------------------------------------------

    def _look_at_order(self, part: Part) -> None:
        if self._unsorted is not None or not len(part.entries):
            return
        place = first_descent(part.high, part.low)
        if (int(part.high[0]), int(part.low[0])) < self._last:
            place = 0
        if place is not None:
            self._unsorted = int(part.entries[place])
        self._last = int(part.high[-1]), int(part.low[-1])

    def _sort_out(self, part: Part, unknown: NDArray[np.bool_]) -> None:
        gone = self._gone
        if gone is None:
            there = self._unreachable is not None and self._unreachable.exists()
            gone = self._gone = UidTable(self._unreachable) if self._unreachable and there else None
        if gone is not None:
            places = np.flatnonzero(unknown)
            unreached = np.zeros(len(unknown), bool)
            unreached[places] = gone.find(part.high[places], part.low[places]) >= 0
            self._unreached.add(part, unreached)
            unknown = unknown & ~unreached
        self._unknown.add(part, unknown)

    def _count(self, ranks: Ranks, weights: NDArray[np.float64] | None) -> None:
        """``ranks`` ascend."""
        if not len(ranks):
            return
        starts = np.flatnonzero(np.concatenate([[True], ranks[1:] != ranks[:-1]]))
        if weights is None:
            sums = np.diff(np.append(starts, len(ranks)))
        else:
            sums = np.add.reduceat(np.minimum(weights, self._cap), starts)  # huge ones must not overflow
        rows = ranks[starts]
        self._counts[rows] = np.minimum(self._counts[rows] + sums, self._cap)

    def _strange(self, problems: ProblemList) -> None:
        unknown, unreached = self._unknown, self._unreached
        if unknown.count >= max(NEARLY_ALL * self._entries, 2 * SHOWN):
            said = f"{unknown.count:,} of the {self._entries:,} uids are not in this pool: a list of another pool?"
            problems.add("other-pool", f"{said} {unknown.told()}", unknown.first[0][0])
        elif unknown.count:
            said = f"{unknown.count:,} of the {self._entries:,} uids are not in this pool; {unknown.told()}"
            problems.add("unknown-uid", said, unknown.first[0][0])
        if unreached.count:
            said = f"{unreached.count:,} uids are of images that this copy of the pool lacks; {unreached.told()}"
            problems.add("unreachable-uid", f"{said}. Nobody can choose them: unreachable.npy lists all", None)
        if self._misweighted.count:
            said = f"{self._misweighted.count:,} weights are not whole numbers of 1 or more"
            problems.add("bad-weight", f"{said}; {self._misweighted.told()}", self._misweighted.first[0][0])

    def _too_often(self, problems: ProblemList) -> None:
        over = np.flatnonzero(self._counts == self._cap)
        if len(over):
            most = self._rules.repeats_max
            how = "more than once; no repeats are taken" if most == 1 else f"more than {most} times"
            shown = ", ".join(self._uid(int(row)) for row in over[:SHOWN])
            said = f"{len(over):,} uids are named {how}: {shown}{', …' if len(over) > SHOWN else ''}"
            problems.add("repeated-uid", said)

    def _excluded(self, excluded: Collection[int], problems: ProblemList) -> None:
        rows = np.fromiter(excluded, np.int64, len(excluded))
        hit = np.sort(rows[self._counts[rows] > 0])
        if len(hit):
            shown = ", ".join(self._uid(int(row)) for row in hit[:SHOWN])
            said = f"{len(hit):,} uids may not be chosen: they are in the pool's list of excluded ones"
            problems.add("excluded-uid", f"{said}; {shown}{', …' if len(hit) > SHOWN else ''}")

    def _uid(self, row: int) -> str:
        return f"{int(self._table.high[row]):016x}{int(self._table.low[row]):016x}"

    def _notes(self, chosen: int, samples: int) -> tuple[str, ...]:
        notes = []
        if self._unsorted is not None:
            notes.append(f"the list was not sorted (entry {self._unsorted:,} is out of order): it was sorted here")
        if samples > chosen:
            most = int(self._counts.max())
            notes.append(f"{chosen:,} uids, {samples:,} samples with their repeats (up to {most} times each)")
        return tuple(notes)

    def _made(self, notes: tuple[str, ...]) -> Selection:
        rows, weights = array("q"), array("d")
        for start in range(0, len(self._counts), CHUNK):
            some = self._counts[start : start + CHUNK]
            places = np.flatnonzero(some)
            rows.frombytes((places + start).astype(np.int64).tobytes())
            weights.frombytes(some[places].astype(np.float64).tobytes())
        return Selection(rows, weights, "uids", notes)
