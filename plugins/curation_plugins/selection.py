"""Submissions of kind ``rows``: pool row ids, optionally with weights.

Three plain forms are read, told apart by their first character: one id a line; JSONL with
``{"row": 12, "weight": 1.5}``; a JSON array of ids. The canonical form, which is frozen, hashed and trained on,
is JSONL in the order of row ids, so that the same set of rows is the same submission however it was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList, SubmissionRefused

MAX_LINE = 4096
"""Bytes; no honest line comes near it."""

GIVE_UP = 10_000
"""Problems after which reading ends: a file of millions of bad lines must not keep the host busy."""


@dataclass(frozen=True)
class Selection:
    """Accepted rows in ascending order of id."""

    rows: tuple[int, ...]
    weights: tuple[float, ...]

    def canonical(self) -> bytes:
        """The frozen form: one ``{"row":…,"weight":…}`` a line, ascending, newline-terminated."""
        lines = (
            json.dumps({"row": row, "weight": weight}, separators=(",", ":"))
            for row, weight in zip(self.rows, self.weights, strict=True)
        )
        return "".join(line + "\n" for line in lines).encode()

    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return hashlib.sha256(self.canonical()).hexdigest()


def of_rows(rows: Iterator[int] | list[int] | tuple[int, ...]) -> Selection:
    """A selection without weights, from ids that are known to be good (references, tests)."""
    ordered = tuple(sorted(rows))
    return Selection(rows=ordered, weights=(1.0,) * len(ordered))


def read_canonical(path: Path) -> Selection:
    """Read a frozen selection back."""
    rows: list[int] = []
    weights: list[float] = []
    with path.open("rb") as lines:
        for line in lines:
            entry = json.loads(line)
            rows.append(entry["row"])
            weights.append(entry["weight"])
    return Selection(rows=tuple(rows), weights=tuple(weights))


def parse(data: Path, rules: SubmissionRules, pool_rows: int, excluded: Collection[int] = ()) -> Selection:
    """Read an agent's file.

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
    rows = tuple(sorted(chosen))
    return Selection(rows=rows, weights=tuple(chosen[row] for row in rows))


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
            try:
                array = json.loads(file.read())
            except (ValueError, RecursionError):
                problems.add("not-json", "begins with '[' but is no JSON array")
                return
            yield from enumerate(array, start=1)
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
