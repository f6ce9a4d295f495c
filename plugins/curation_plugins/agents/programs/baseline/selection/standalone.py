"""Run one method by itself: ``python policy.py --pool /pool --history /history --seed 0 --out rows.txt``."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from .method import Method, Parameters, Rows
from .pool import ROWS, Pool

MANIFEST = "manifest.json"


def run(method: Method, pool: Pool, count: int, seed: int, parameters: Parameters) -> Rows:
    """The method's rows, ascending; the same for the same pool, count, seed and parameters."""
    rows = method.select(pool, count, np.random.default_rng(seed), parameters)
    return np.sort(rows)


def written(method: Method, pool: Pool, rows: Rows, seed: int) -> str:
    """What is handed in: one row id a line, or one record a line of a method that rewrites."""
    if method.rewrite is None:
        return "".join(f"{row}\n" for row in rows)
    rng, wanted = np.random.default_rng([seed, 1]), set(rows.tolist())
    lines = []
    for place, record in enumerate(pool.records()):
        if place in wanted:
            lines.append(json.dumps(method.rewrite(record, rng), ensure_ascii=False) + "\n")
    return "".join(lines)


def manifest(
    method: Method,
    pool: Path,
    signals: Path,
    count: int,
    seed: int,
    parameters: Parameters,
    text: str,
    bought: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """All that the selection follows from, and its hash: the same again from the same files.

    Args:
        bought: the columns that the host measured in a run and the method uses, by the hash of their values.
    """
    return {
        "method": method.name,
        "citation": method.citation,
        "where": method.where,
        "differs": method.differs,
        "uses": list(method.needs),
        "looks_at_target_data": method.target,
        "hands_in": "rows" if method.rewrite is None else "records",
        "count": count,
        "seed": seed,
        "parameters": dict(parameters),
        "pool": _digests(pool, method),
        "signals": {path.name: _sha256(path) for path in sorted(signals.glob("*"))},
        "bought": dict(bought),
        "selected": text.count("\n"),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def _digests(pool: Path, method: Method) -> dict[str, str]:
    """The pool's rows, and its tables where the method reads any."""
    tables = sorted(pool.glob("signals/*")) if method.needs else []
    files = [path for path in (pool / ROWS, *tables, pool / "excluded.json") if path.is_file()]
    return {path.relative_to(pool).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def bought(method: Method, pool: Pool) -> dict[str, str]:
    """The columns that the host measured and the method uses: name → hash of their values."""
    names = {pool.column_name(need) for need in method.needs} & pool.bought
    columns = {name: pool.column_named(name) for name in sorted(name for name in names if name is not None)}
    return {name: hashlib.sha256(column.tobytes()).hexdigest() for name, column in columns.items()}


def main(method: Method, count: int, seed: int, turn: int, parameters: Parameters, signals: Path) -> None:
    """Command line of a policy: writes one row id a line, and on request the manifest, or holds itself against one.

    Args:
        seed: the task's, which the host gives too.
        turn: added to it: 0 where the method is tried for the first time.
        signals: folder with further tables (lists, target texts), if it is there.
    """
    parser = argparse.ArgumentParser(description=f"{method.summary} ({method.citation})")
    parser.add_argument("--pool", type=Path, default=Path("/pool"), help="the pool's folder")
    parser.add_argument("--history", type=Path, help="folder with the signals that were bought")
    parser.add_argument("--out", type=Path, default=Path("rows.txt"), help="file to write")
    parser.add_argument("--count", type=int, default=count, help="rows to select")
    parser.add_argument("--seed", type=int, default=seed, help="the task's; for the method's random choices")
    parser.add_argument("--write-manifest", type=Path, metavar="FILE", help="say what the selection follows from")
    parser.add_argument("--like", type=Path, metavar="FILE", help="fail unless the selection is this manifest's")
    options = parser.parse_args()
    pool = Pool(options.pool, *([signals] if signals.is_dir() else []), history=options.history)
    drawn = options.seed + turn
    rows = run(method, pool, options.count, drawn, parameters)
    text = written(method, pool, rows, drawn)
    options.out.write_text(text, encoding="utf-8")
    used = bought(method, pool)
    made = manifest(method, options.pool, signals, options.count, drawn, parameters, text, used)
    if options.write_manifest is not None:
        options.write_manifest.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if options.like is not None:
        different = differences(json.loads(options.like.read_text(encoding="utf-8")), made)
        if different:
            sys.exit(f"not the selection of {options.like}: " + "; ".join(different))


def differences(told: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Which entries of two manifests are not the same."""
    return [f"{key} differs" for key in sorted(told.keys() | made.keys()) if told.get(key) != made.get(key)]
