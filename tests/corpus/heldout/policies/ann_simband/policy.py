"""Keep the middle band of image-text similarity: the low end is mismatched, the top end is trivial captions."""

import argparse
import csv
from pathlib import Path

import numpy as np

BUDGET = 120
LOW_Q, HIGH_Q = 0.35, 0.90


def similarity(pool: Path) -> np.ndarray:
    with (pool / "signals" / "signals.csv").open(newline="") as handle:
        return np.array([float(r["similarity"]) if r["similarity"] else np.nan for r in csv.DictReader(handle)])


def band(values: np.ndarray, low: float, high: float) -> np.ndarray:
    a, b = np.nanquantile(values, [low, high])
    return np.flatnonzero((values >= a) & (values <= b))


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    values = similarity(args.pool)
    inside = band(values, LOW_Q, HIGH_Q)
    # best aligned of the band first
    order = inside[np.argsort(-values[inside], kind="stable")]
    rows = order[:BUDGET]
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows.tolist())))


if __name__ == "__main__":
    main()
