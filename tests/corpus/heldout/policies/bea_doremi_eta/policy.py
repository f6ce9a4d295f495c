#!/usr/bin/env python3
"""Source shares learnt from excess loss, as in DoReMi (Xie et al. 2023), at the scale of this pool.

Instead of hand-set quotas: exponentiated gradient on the shares, driven by how far the model of attempt 1
still stands above what is attainable (here the 20 % quantile of the source's own loss).
"""
from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Config:
    step_size: float = 1.0
    rounds: int = 60
    smoothing: float = 0.01
    batch: int = 16
    total: int = 120


class MixtureLearner:
    def __init__(self, losses: np.ndarray, floor: np.ndarray, groups: list[np.ndarray], config: Config, rng):
        self.losses, self.floor, self.groups, self.config, self.rng = losses, floor, groups, config, rng

    def excess(self) -> np.ndarray:
        values = []
        for g, members in enumerate(self.groups):
            batch = self.rng.choice(members, size=min(self.config.batch, len(members)), replace=False)
            values.append(np.maximum(self.losses[batch] - self.floor[g], 0).mean())
        return np.array(values)

    def run(self) -> np.ndarray:
        k = len(self.groups)
        share = np.full(k, 1 / k)
        trail = np.zeros(k)
        for _ in range(self.config.rounds):
            share = share * np.exp(self.config.step_size * self.excess())
            share /= share.sum()
            share = (1 - self.config.smoothing) * share + self.config.smoothing / k
            trail += share
        return trail / trail.sum()


def read_signal(history: Path, name: str, n: int) -> np.ndarray:
    values = np.full(n, np.nan)
    with (history / "signals" / f"{name}.jsonl").open() as f:
        for entry in map(json.loads, f):
            values[entry["row"]] = entry["value"]
    return values


def main() -> None:
    p = argparse.ArgumentParser()
    for name in ("--pool", "--history", "--out"):
        p.add_argument(name, type=Path)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    config = Config()
    rng = np.random.default_rng(a.seed)
    sources = np.array([json.loads(line)["source"] for line in (a.pool / "rows.jsonl").open(encoding="utf-8")])
    proxy = read_signal(a.history, "answer-loss-attempt1", len(sources))
    names = sorted(set(sources.tolist()))
    groups = [np.flatnonzero(sources == name) for name in names]
    floor = np.array([np.nanquantile(proxy[g], 0.2) for g in groups])
    share = MixtureLearner(np.nan_to_num(proxy), floor, groups, config, rng).run()
    counts = np.floor(share * config.total).astype(int)
    counts[np.argsort(-(share * config.total - counts))[: config.total - counts.sum()]] += 1
    taken: list[int] = []
    for members, count in zip(groups, counts):
        taken += rng.choice(members, size=min(int(count), len(members)), replace=False).tolist()
    a.out.write_text("\n".join(str(i) for i in sorted(taken)) + "\n")
    print(dict(zip(names, counts.tolist())))


if __name__ == "__main__":
    main()
