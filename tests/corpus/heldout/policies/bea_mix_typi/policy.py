#!/usr/bin/env python3
"""HierarchicalConceptSampler: a two-level sampler with a learnt upper level and a geometric lower level.

Upper level: how many rows each source gets. Lower level: which rows of the source stand for it.
"""
from __future__ import annotations

import argparse
import json
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors


class Level(ABC):
    @abstractmethod
    def allocate(self, groups: list[np.ndarray], rng: np.random.Generator) -> list: ...


class ExcessLossShares(Level):
    """Exponentiated gradient on excess loss over the source's own 20 % quantile."""

    def __init__(self, loss: np.ndarray, total: int, step=0.3, rounds=25, smoothing=0.05, batch=16):
        self.loss, self.total = loss, total
        self.step, self.rounds, self.smoothing, self.batch = step, rounds, smoothing, batch

    def allocate(self, groups, rng):
        k = len(groups)
        floor = [np.quantile(self.loss[g], 0.2) for g in groups]
        share, trail = np.full(k, 1 / k), np.zeros(k)
        for _ in range(self.rounds):
            sample = [rng.choice(g, size=min(self.batch, len(g)), replace=False) for g in groups]
            excess = np.array([np.maximum(self.loss[s] - f, 0).mean() for s, f in zip(sample, floor)])
            share = share * np.exp(self.step * excess)
            share = (1 - self.smoothing) * share / share.sum() + self.smoothing / k
            trail += share
        exact = trail / trail.sum() * self.total
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: self.total - counts.sum()]] += 1
        return [min(int(c), len(g)) for c, g in zip(counts, groups)]


class TypicalMembers(Level):
    """Clusters of a source in turn, the member with the closest neighbours first."""

    def __init__(self, points: np.ndarray, seed: int, neighbours=8):
        self.points, self.seed, self.neighbours = points, seed, neighbours

    def _typical_first(self, members: np.ndarray) -> list[int]:
        x = self.points[members]
        k = min(self.neighbours + 1, len(x))
        if k < 2:
            return members.tolist()
        distance, _ = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(x)
        return members[np.argsort(np.round(distance[:, 1:].mean(axis=1), 6), kind="stable")].tolist()

    def allocate(self, groups, rng):
        raise NotImplementedError("use of_group")

    def of_group(self, group: np.ndarray, count: int) -> list[int]:
        if count == 0:
            return []
        k = max(1, min(count // 3, len(group)))
        labels = KMeans(n_clusters=k, n_init=3, random_state=self.seed).fit_predict(self.points[group])
        queues = sorted((self._typical_first(group[labels == c]) for c in range(k)), key=len, reverse=True)
        chosen: list[int] = []
        while len(chosen) < count:
            for queue in queues:
                if queue and len(chosen) < count:
                    chosen.append(queue.pop(0))
        return chosen


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    for name in ("--pool", "--history", "--out"):
        p.add_argument(name, type=Path)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    sources = np.array([json.loads(line)["source"] for line in (a.pool / "rows.jsonl").open(encoding="utf-8")])
    loss = np.zeros(len(sources))
    for entry in map(json.loads, (a.history / "signals" / "answer-loss-attempt1.jsonl").open()):
        loss[entry["row"]] = entry["value"]
    points = np.load(a.pool / "signals" / "embeddings.npy").astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    groups = [np.flatnonzero(sources == name) for name in sorted(set(sources.tolist()))]
    counts = ExcessLossShares(loss, 120).allocate(groups, np.random.default_rng(a.seed))
    lower = TypicalMembers(points, a.seed)
    chosen = [row for group, count in zip(groups, counts) for row in lower.of_group(group, count)]
    a.out.write_text("".join(f"{row}\n" for row in sorted(chosen)))


if __name__ == "__main__":
    main()
