"""Finds the rows of a released list (ICONS, ARDS) in a pool by their content, and writes them as a column.

    python -m curation_plugins.tasks.llava.released icons llava_icons_133k.json --pool POOL --out EXTRA

Makes ``EXTRA/icons.npz`` (1 for rows in the list, 0 for the others) and ``EXTRA/icons.json`` (where it comes from and
how many were found), for ``--agent-option extra=EXTRA`` and ``choose --extra EXTRA``.

A record is one row of the pool exactly if both have the same content hash (``rows.content_hash``): image path and all
turns. Neither ``id`` nor the image's path is a key, for the 665,298 rows of LLaVA-665K have 389,722 ids. Where the
list holds positions, too (``global_id``, from 0), they must say the same, and a single one that does not is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation_plugins.errors import AssetsInvalid, PluginLayerError
from curation_plugins.tasks.llava.rows import content_hash_of_record, read_rows

POSITION = "global_id"
SHOWN = 3


@dataclass(frozen=True)
class Found:
    """Where a list's records stand in a pool."""

    rows: tuple[int, ...]
    """Ascending, each once."""
    records: int
    by_position: int
    """Records whose own position says the same as their content."""
    ambiguous: int
    """Records whose content stands in the pool more often than in the list: the first of the equal rows was taken."""


def find(records: Iterable[Mapping[str, Any]], hashes: Iterable[str]) -> Found:
    """Rows of the pool with these contents; equal contents take the pool's equal rows in order.

    Args:
        records: of the list, as in the published JSON.
        hashes: content hash of every row of the pool, in order.

    Raises:
        AssetsInvalid: a record is no dialogue, is not in the pool, or its position names a row with other content.
    """
    pool = list(hashes)
    places: dict[str, deque[int]] = defaultdict(deque)
    for row, name in enumerate(pool):
        places[name].append(row)
    taken: set[int] = set()
    wrong: list[str] = []
    number = by_position = 0
    open_ones: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            name = content_hash_of_record(record)
        except (KeyError, TypeError) as error:
            raise AssetsInvalid(
                f"record {number} of the list is no dialogue of an image path and turns ({error!r})",
                hint="Give the JSON file as it was released.",
            ) from None
        position = record.get(POSITION)
        if position is None:
            open_ones.append(name)
        elif not isinstance(position, int) or not 0 <= position < len(pool) or pool[position] != name:
            wrong.append(f"record {number}: {POSITION} {position!r} is a row with other content")
        else:
            by_position += 1
            taken.add(position)
    missing = ambiguous = 0
    for name in open_ones:
        left = places.get(name)
        while left and left[0] in taken:
            left.popleft()
        if not left:
            missing += 1
            continue
        taken.add(left.popleft())
    ambiguous = sum(1 for name in set(open_ones) if any(row not in taken for row in places.get(name, ())))
    if missing:
        wrong.append(f"{missing} of {number} records are not in the pool")
    if wrong or not taken:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise AssetsInvalid(
            "the list does not belong to this pool: " + ("; ".join(wrong[:SHOWN]) or "it is empty") + more,
            hint="Nothing was written. Is it another list, or a pool made from another file?",
        )
    return Found(rows=tuple(sorted(taken)), records=number, by_position=by_position, ambiguous=ambiguous)


def write(name: str, listed: Path, pool: Path, out: Path) -> Found:
    """Writes the column and its note into ``out``.

    Raises:
        AssetsInvalid: as ``find``, or the file is no JSON list.
    """
    try:
        records = json.loads(listed.read_text(encoding="utf-8"))
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise ValueError("it is no list of objects")
    except (OSError, ValueError) as error:
        raise AssetsInvalid(
            f"{listed} cannot be read: {error}", hint="Give the JSON file as it was released."
        ) from None
    hashes = [row.content_hash() for row in read_rows(pool / "rows.jsonl")]
    found = find(records, hashes)
    column = np.zeros(len(hashes))
    column[list(found.rows)] = 1
    out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {name: column}
    np.savez_compressed(out / f"{name}.npz", **arrays)
    note = {
        "list": listed.name,
        "sha256": hashlib.sha256(listed.read_bytes()).hexdigest(),
        "records": found.records,
        "rows": len(found.rows),
        "verified_positions": found.by_position,
        "contents_with_further_equal_rows": found.ambiguous,
        "pool_rows": len(hashes),
        "pool_contents": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
    }
    (out / f"{name}.json").write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="released", description="find a released list's rows in a pool")
    parser.add_argument("name", choices=["icons", "ards"], help="which method's list it is")
    parser.add_argument("list", type=Path, help="the released JSON file")
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the column")
    options = parser.parse_args()
    try:
        found = write(options.name, options.list, options.pool, options.out)
    except PluginLayerError as error:
        sys.stderr.write(f"{error.message}\n{error.hint or ''}\n")
        return 1
    told = f"{found.records} records are {len(found.rows)} rows; {found.by_position} by position, too"
    sys.stdout.write(f"{options.out}: {told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
