"""Facility location, the plain greedy way: every step looks at every row."""

import argparse
from pathlib import Path

import numpy as np

SIZE = 120


def affinity(pool: Path) -> np.ndarray:
    vectors = np.nan_to_num(np.load(pool / "signals" / "embeddings.npy").astype(np.float64))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.where(length > 0, length, 1.0)
    return np.clip(vectors @ vectors.T, 0.0, None)


def gain_of(candidate: int, table: np.ndarray, best_so_far: np.ndarray) -> float:
    improvement = table[:, candidate] - best_so_far
    return float(np.round(improvement[improvement > 0].sum(), 8))


def greedy(table: np.ndarray) -> list[int]:
    best_so_far = np.zeros(table.shape[0])
    taken: list[int] = []
    while len(taken) < SIZE:
        best, best_gain = -1, -1.0
        for candidate in range(table.shape[0]):
            if candidate in taken:
                continue
            gain = gain_of(candidate, table, best_so_far)
            if gain > best_gain:
                best, best_gain = candidate, gain
        taken.append(best)
        best_so_far = np.maximum(best_so_far, table[:, best])
    return taken


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()
    args.out.write_text("".join(f"{r}\n" for r in sorted(greedy(affinity(args.pool)))))
