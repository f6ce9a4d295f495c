#!/usr/bin/env python3
"""Source shares by a bandit (Exp3, after online data mixing, Albalak et al. 2023) instead of exponentiated gradient.

Each round draws ONE source and sees the loss of a few of its rows; the reward is importance-weighted. DoReMi looked at
all sources in every round and so followed the loudest one, advice, all the way.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

ROUNDS = 400
PEEK = 4
DECAY = 0.9
TOTAL = 120


def play(losses: np.ndarray, groups: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    k = len(groups)
    estimate = np.zeros(k)
    drawn = np.zeros(k)
    for t in range(1, ROUNDS + 1):
        explore = min(1 / k, np.sqrt(np.log(k) / (k * t)))
        soft = np.exp(explore * estimate - (explore * estimate).max())
        chance = (1 - k * explore) * soft / soft.sum() + explore
        chance = np.maximum(chance, 0) / np.maximum(chance, 0).sum()
        arm = int(rng.choice(k, p=chance))
        seen = rng.choice(groups[arm], size=min(PEEK, len(groups[arm])), replace=False)
        estimate[arm] = DECAY * estimate[arm] + (1 - DECAY) * losses[seen].mean() / chance[arm]
        drawn += chance
    return drawn / drawn.sum()


def main() -> None:
    p = argparse.ArgumentParser()
    for name in ("--pool", "--history", "--out"):
        p.add_argument(name, type=Path)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    rng = np.random.default_rng(a.seed)
    sources = np.array([json.loads(line)["source"] for line in (a.pool / "rows.jsonl").open(encoding="utf-8")])
    losses = np.zeros(len(sources))
    for entry in map(json.loads, (a.history / "signals" / "answer-loss-attempt1.jsonl").open()):
        losses[entry["row"]] = entry["value"]
    groups = [np.flatnonzero(sources == name) for name in sorted(set(sources.tolist()))]
    share = play(losses, groups, rng)
    counts = np.floor(share * TOTAL).astype(int)
    counts[: TOTAL - counts.sum()] += 1
    taken: list[int] = []
    for members, count in zip(groups, counts):
        taken += rng.choice(members, size=min(int(count), len(members)), replace=False).tolist()
    a.out.write_text("\n".join(str(i) for i in sorted(taken)) + "\n")


if __name__ == "__main__":
    main()
