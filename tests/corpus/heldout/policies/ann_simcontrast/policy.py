"""Band of *contrastive* similarity: a row's similarity less the mean of its nearest neighbours'.

Raw similarity is higher for some kinds of pictures whatever the text; the neighbours say how much is due to that.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

BUDGET = 120
LOW_Q, HIGH_Q = 0.35, 0.90


def similarity(pool: Path) -> np.ndarray:
    with (pool / "signals" / "signals.csv").open(newline="") as handle:
        return np.array([float(r["similarity"]) if r["similarity"] else np.nan for r in csv.DictReader(handle)])


def against_neighbours(values: np.ndarray, history: Path) -> np.ndarray:
    expected = np.full(len(values), np.nan)
    for line in (history / "signals" / "neighbours.jsonl").open():
        entry = json.loads(line)
        ids = [int(v) for v in entry["value"][:10]]
        known = values[ids][~np.isnan(values[ids])]
        if len(known):
            expected[entry["row"]] = known.mean()
    return values - expected


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

    values = against_neighbours(similarity(args.pool), args.history)
    inside = band(values, LOW_Q, HIGH_Q)
    # best aligned of the band first
    order = inside[np.argsort(-values[inside], kind="stable")]
    rows = order[:BUDGET]
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows.tolist())))


if __name__ == "__main__":
    main()
