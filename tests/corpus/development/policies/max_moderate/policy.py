from __future__ import annotations

"""Moderate coreset (Xia et al. 2023): rows at the median distance from their cluster's centre."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans


@dataclass(frozen=True)
class Plan:
    clusters: int = 8
    rows: int = 120
    quantile: float = 0.5


@dataclass
class Moderate:
    plan: Plan
    seed: int

    def select(self, x: np.ndarray) -> np.ndarray:
        model = MiniBatchKMeans(self.plan.clusters, random_state=self.seed, n_init=3, batch_size=4096).fit(x)
        distance = np.linalg.norm(x - model.cluster_centers_[model.labels_], axis=1)
        middle = np.array([np.quantile(distance[model.labels_ == c], self.plan.quantile) for c in range(self.plan.clusters)])
        off = np.abs(distance - middle[model.labels_])
        return np.sort(np.argsort(np.round(off, 6), kind="stable")[: self.plan.rows])


def vectors(pool: Path) -> np.ndarray:
    x = np.load(pool / "signals" / "embeddings.npy").astype(np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path)
    ns = ap.parse_args()
    rows = Moderate(Plan(), ns.seed).select(vectors(ns.pool))
    ns.out.write_text("".join(f"{r}\n" for r in rows))
