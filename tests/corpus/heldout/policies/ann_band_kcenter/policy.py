"""Attempt 4: similarity band first (it helped colours), then k-center inside it (it helped signs)."""

import argparse
import csv
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

BUDGET = 120
DIMS = 32
LOW_Q, HIGH_Q = 0.20, 0.95


def load_embeddings(pool: Path) -> np.ndarray:
    raw = np.nan_to_num(np.load(pool / "signals" / "embeddings.npy").astype(np.float64))
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    return raw / np.where(norms > 0, norms, 1.0)


def similarity(pool: Path) -> np.ndarray:
    with (pool / "signals" / "signals.csv").open(newline="") as handle:
        return np.array([float(r["similarity"]) if r["similarity"] else np.nan for r in csv.DictReader(handle)])


def band(values: np.ndarray, low: float, high: float) -> np.ndarray:
    a, b = np.nanquantile(values, [low, high])
    return np.flatnonzero((values >= a) & (values <= b))


def k_center(points: np.ndarray, budget: int, first: int) -> list[int]:
    chosen = [first]
    nearest = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < budget:
        candidate = int(np.argmax(nearest))
        chosen.append(candidate)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[candidate], axis=1))
        nearest[candidate] = -1.0
    return chosen


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    inside = band(similarity(args.pool), LOW_Q, HIGH_Q)
    points = load_embeddings(args.pool)
    points = np.round(PCA(n_components=DIMS, svd_solver="full").fit_transform(points), 6)[inside]
    rng = np.random.default_rng(args.seed)
    rows = inside[k_center(points, BUDGET, int(rng.integers(len(points))))]
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows.tolist())))


if __name__ == "__main__":
    main()
