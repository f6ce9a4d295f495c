from __future__ import annotations

"""Greedy MAP of a determinantal point process (Chen et al. 2018) on cosine similarity."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Plan:
    rows: int = 100
    ridge: float = 0.6


@dataclass
class Determinantal:
    plan: Plan

    def select(self, x: np.ndarray) -> list[int]:
        kernel = x @ x.T + self.plan.ridge * np.eye(len(x))
        factor = np.zeros((self.plan.rows, len(x)))
        gain = kernel.diagonal().copy()
        chosen: list[int] = []
        for step in range(self.plan.rows):
            best = int(np.argmax(np.round(gain, 8)))
            chosen.append(best)
            row = (kernel[best] - factor[:step].T @ factor[:step, best]) / np.sqrt(gain[best])
            factor[step] = row
            gain = gain - row**2
            gain[chosen] = -np.inf
        return sorted(chosen)


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
    ns.out.write_text("".join(f"{r}\n" for r in Determinantal(Plan()).select(vectors(ns.pool))))
