"""Facility location instead of k-center: k-center chases outliers, facility location stands in for the crowd."""

import argparse
import heapq
from pathlib import Path

import numpy as np

BUDGET = 120


def load_embeddings(pool: Path) -> np.ndarray:
    raw = np.nan_to_num(np.load(pool / "signals" / "embeddings.npy").astype(np.float64))
    norms = np.linalg.norm(raw, axis=1, keepdims=True)
    return raw / np.where(norms > 0, norms, 1.0)


def lazy_greedy(similarity: np.ndarray, budget: int) -> list[int]:
    """Maximise sum_i max_{j in S} s_ij; stale gains are upper bounds (Minoux 1978)."""
    n = len(similarity)
    served = np.zeros(n)
    heap = [(-float(np.round(similarity[:, j].sum(), 8)), j, 0) for j in range(n)]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < budget:
        gain, j, when = heapq.heappop(heap)
        if when == len(chosen):
            chosen.append(j)
            served = np.maximum(served, similarity[:, j])
            continue
        fresh = np.maximum(similarity[:, j] - served, 0.0).sum()
        heapq.heappush(heap, (-float(np.round(fresh, 8)), j, len(chosen)))
    return chosen


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    points = load_embeddings(args.pool)
    similarity = np.clip(points @ points.T, 0.0, None)
    rows = lazy_greedy(similarity, BUDGET)
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows)))


if __name__ == "__main__":
    main()
