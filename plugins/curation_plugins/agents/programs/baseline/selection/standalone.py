"""Run one method by itself: ``python policy.py --pool /pool --history /history --seed 0 --out rows.txt``."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .method import Method, Parameters, Rows
from .pair_files import METADATA, UNREACHABLE
from .pool import EXCLUDED, FILES, Pool
from .rows_file import ROWS

MANIFEST = "manifest.json"


def run(method: Method, pool: Pool, count: int, seed: int, parameters: Parameters) -> Rows:
    """The method's rows, ascending; the same for the same pool, count, seed and parameters."""
    rows = method.select(pool, count, np.random.default_rng(seed), parameters)
    return np.sort(rows)


def written(method: Method, pool: Pool, rows: Rows, seed: int) -> bytes:
    """What is handed in: one row id a line, one record a line of a method that rewrites, or the uids of pairs."""
    if pool.is_pairs:
        return pool.pairs.subset(rows)
    if method.rewrite is None:
        return "".join(f"{row}\n" for row in rows).encode()
    rng, wanted = np.random.default_rng([seed, 1]), set(rows.tolist())
    lines = []
    for place, record in enumerate(pool.records()):
        if place in wanted:
            lines.append(json.dumps(method.rewrite(record, rng), ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def manifest(
    method: Method,
    pool: Pool,
    signals: Path,
    count: int,
    seed: int,
    parameters: Parameters,
    rows: Rows,
    data: bytes,
    bought: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """All that the selection follows from, and its hash: the same again from the same files.

    Args:
        rows: that were selected.
        data: what is handed in (`written`).
        bought: the columns that the host measured in a run and the method uses, by the hash of their values.
    """
    return {
        "method": method.name,
        "citation": method.citation,
        "where": method.where,
        "differs": method.differs,
        "uses": list(method.needs),
        "looks_at_target_data": method.target,
        "hands_in": "uids" if pool.is_pairs else "rows" if method.rewrite is None else "records",
        "count": count,
        "seed": seed,
        "parameters": dict(parameters),
        "pool": _digests(pool, method),
        "signals": {path.name: _sha256(path) for path in sorted(signals.glob("*"))},
        "bought": dict(bought),
        "selected": len(rows),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _digests(pool: Pool, method: Method) -> dict[str, str]:
    """The pool's rows or metadata, its tables where the method reads any, and its features where it reads those.

    The many files of a pool of pairs have one digest together: a policy full of digests looks like packed data.
    """
    folder = pool.folder
    tables = sorted(folder.glob("signals/*")) if method.needs else []
    beside = [folder / FILES[need] for need in method.looks_at if need in FILES]
    files = [path for path in (folder / ROWS, folder / EXCLUDED, *tables, *beside) if path.is_file()]
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    if pool.is_pairs:
        metadata = sorted((folder / METADATA).glob("*.parquet"))
        digests[METADATA] = _together([*metadata, *folder.glob(UNREACHABLE)])
        if any((pool.column_name(need) or "") in _VECTORS for need in method.needs):
            digests["features"] = _together(sorted((folder / METADATA).glob("*.npz")))
    return digests


def _together(files: Sequence[Path]) -> str:
    """One digest of several files: over each one's name and digest."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {_sha256(path)}\n".encode())
    return digest.hexdigest()


_VECTORS = frozenset(("l14_img", "b32_img", "l14_txt", "b32_txt"))
"""Columns that lie in DataComp's ``.npz`` files."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def bought(method: Method, pool: Pool) -> dict[str, str]:
    """The columns that the host measured and the method uses: name → hash of their values."""
    names = {pool.column_name(need) for need in method.looks_at} & pool.bought
    columns = {name: pool.column_named(name) for name in sorted(name for name in names if name is not None)}
    return {name: hashlib.sha256(column.tobytes()).hexdigest() for name, column in columns.items()}


def main(method: Method, count: int, seed: int, turn: int, parameters: Parameters, signals: Path) -> None:
    """Command line of a policy: writes what is handed in, and on request the manifest, or holds itself against one.

    Args:
        seed: the task's, which the host gives too.
        turn: added to it: 0 where the method is tried for the first time.
        signals: folder with further tables (lists, target texts), if it is there.
    """
    parser = argparse.ArgumentParser(description=f"{method.summary} ({method.citation})")
    parser.add_argument("--pool", type=Path, default=Path("/pool"), help="the pool's folder")
    parser.add_argument("--history", type=Path, help="folder with the signals that were bought")
    parser.add_argument("--out", type=Path, default=Path("selection"), help="file to write")
    parser.add_argument("--count", type=int, default=count, help="rows to select")
    parser.add_argument("--seed", type=int, default=seed, help="the task's; for the method's random choices")
    parser.add_argument("--write-manifest", type=Path, metavar="FILE", help="say what the selection follows from")
    parser.add_argument("--like", type=Path, metavar="FILE", help="fail unless the selection is this manifest's")
    options = parser.parse_args()
    pool = Pool(options.pool, *([signals] if signals.is_dir() else []), history=options.history)
    drawn = options.seed + turn
    rows = run(method, pool, options.count, drawn, parameters)
    data = written(method, pool, rows, drawn)
    options.out.write_bytes(data)
    made = manifest(method, pool, signals, options.count, drawn, parameters, rows, data, bought(method, pool))
    if options.write_manifest is not None:
        options.write_manifest.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if options.like is not None:
        different = differences(json.loads(options.like.read_text(encoding="utf-8")), made)
        if different:
            sys.exit(f"not the selection of {options.like}: " + "; ".join(different))


def differences(told: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Which entries of two manifests are not the same."""
    return [f"{key} differs" for key in sorted(told.keys() | made.keys()) if told.get(key) != made.get(key)]
