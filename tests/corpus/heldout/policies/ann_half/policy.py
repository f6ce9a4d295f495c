"""Half of the rows by k-center, half at random from the rest: coverage for the tails, chance for the bulk."""

import argparse
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

BUDGET = 120
COVERED = 60
DIMS = 32


def load_embeddings(pool: Path) -> np.ndarray:
    raw = np.nan_to_num(np.load(pool / "signals" / "embeddings.npy").astype(np.float64))
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    return raw / np.where(norms > 0, norms, 1.0)


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

    points = np.round(PCA(n_components=DIMS, svd_solver="full").fit_transform(load_embeddings(args.pool)), 6)
    rng = np.random.default_rng(args.seed)
    covered = k_center(points, COVERED, int(rng.integers(len(points))))
    rest = np.setdiff1d(np.arange(len(points)), covered)
    chance = rng.choice(rest, size=BUDGET - COVERED, replace=False).tolist()
    args.out.write_text("".join(f"{r}\n" for r in sorted(covered + chance)))


if __name__ == "__main__":
    main()
