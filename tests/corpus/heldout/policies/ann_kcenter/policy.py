"""Greedy k-center over the shipped embeddings (Sener & Savarese 2018).

The last mean was flat over all benchmarks, so the random sample probably wastes rows on repeated content.
Covering the embedding space should spend them on different content.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

BUDGET = 120
DIMS = 32
START_SEED_OFFSET = 0


def load_embeddings(pool: Path) -> np.ndarray:
    raw = np.load(pool / "signals" / "embeddings.npy").astype(np.float64)
    raw = np.nan_to_num(raw)
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    return raw / np.where(norms > 0, norms, 1.0)


def reduce_dims(points: np.ndarray, dims: int) -> np.ndarray:
    """PCA with full SVD: deterministic and small here."""
    if points.shape[1] <= dims:
        return points
    return np.round(PCA(n_components=dims, svd_solver="full").fit_transform(points), 6)


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

    points = reduce_dims(load_embeddings(args.pool), DIMS)
    rng = np.random.default_rng(args.seed + START_SEED_OFFSET)
    rows = k_center(points, BUDGET, int(rng.integers(len(points))))
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows)))


if __name__ == "__main__":
    main()
