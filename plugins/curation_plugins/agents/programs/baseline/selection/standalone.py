"""Run one method by itself: ``python policy.py --pool /pool --out rows.txt --seed 0``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from .method import Method, Parameters, Rows
from .pool import Pool


def run(method: Method, pool: Pool, count: int, seed: int, parameters: Parameters) -> Rows:
    """The method's rows, ascending; the same for the same pool, count, seed and parameters."""
    rows = method.select(pool, count, np.random.default_rng(seed), parameters)
    return np.sort(rows)


def main(method: Method, count: int, seed: int, parameters: Parameters, signals: Path) -> None:
    """Command line of a policy: writes one row id a line.

    Args:
        signals: folder with tables of host signals, if it is there.
    """
    parser = argparse.ArgumentParser(description=f"{method.summary} ({method.citation})")
    parser.add_argument("--pool", type=Path, default=Path("/pool"), help="the pool's folder")
    parser.add_argument("--out", type=Path, default=Path("rows.txt"), help="file to write")
    parser.add_argument("--count", type=int, default=count, help="rows to select")
    parser.add_argument("--seed", type=int, default=seed, help="for the method's random choices")
    options = parser.parse_args()
    pool = Pool(options.pool, signals if signals.is_dir() else None)
    rows = run(method, pool, options.count, options.seed, parameters)
    options.out.write_text("".join(f"{row}\n" for row in rows))
