"""The weighted score of attempts 2 and 3 ranked rows over the whole pool and took hardly any of meadow and stone; attempt 1
had good shares per source. So: the same score, but ranked within the shares of attempt 1.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

SHARES = {"north": 30, "amber": 25, "stone": 20, "maple": 15, "harbor": 20, "meadow": 10}
WEIGHTS = {"alignment": 1.0, "difficulty": 0.5, "novelty": 0.8}
CLIP = 0.95


def ranks(values):
    filled = np.where(np.isnan(values), np.nanmedian(values), values)
    return filled.argsort(kind="stable").argsort(kind="stable") / max(1, len(filled) - 1)


def scores(table, unit):
    number = lambda text: float(text) if text else np.nan  # noqa: E731
    similarity = np.array([number(r["similarity"]) for r in table])
    loss = np.array([number(r["answer_loss"]) for r in table])
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1.0)
    parts = {
        "alignment": ranks(similarity),
        "difficulty": ranks(np.where(loss <= np.nanquantile(loss, CLIP), loss, 0.0)),
        "novelty": ranks(np.round(1 - cosine.max(axis=1), 6)),
    }
    return sum(WEIGHTS[name] * values for name, values in parts.items())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with (args.pool / "signals" / "signals.csv").open(newline="") as f:
        table = list(csv.DictReader(f))
    points = np.load(args.pool / "signals" / "embeddings.npy").astype(np.float64)
    score = np.round(scores(table, points / np.linalg.norm(points, axis=1, keepdims=True)), 9)
    source = np.array([r["source"] for r in table])
    best = []
    for name, share in SHARES.items():
        members = np.flatnonzero(source == name)
        best += members[np.argsort(-score[members], kind="stable")][:share].tolist()
    args.out.write_text("".join(f"{r}\n" for r in sorted(best)))


if __name__ == "__main__":
    main()
