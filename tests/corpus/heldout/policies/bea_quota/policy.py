#!/usr/bin/env python3
"""Source quotas for the tiny pool."""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Config:
    quotas: dict[str, int] = field(
        default_factory=lambda: {"north": 30, "amber": 25, "stone": 20, "maple": 15, "harbor": 20, "meadow": 10}
    )
    min_answer_chars: int = 0
    max_turns: int = 99
    total: int = 120


class Curator:
    def __init__(self, pool: str, seed: int, config: Config):
        self.config = config
        self.rng = np.random.default_rng(seed)
        with open(f"{pool}/rows.jsonl", encoding="utf-8") as f:
            self.rows = [json.loads(line) for line in f]

    def allowed(self, row: dict) -> bool:
        answers = sum(len(t["value"]) for t in row["conversations"] if t["from"] == "gpt")
        return answers >= self.config.min_answer_chars and len(row["conversations"]) <= self.config.max_turns

    def by_source(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = defaultdict(list)
        for index, row in enumerate(self.rows):
            if self.allowed(row):
                groups[row["source"]].append(index)
        return groups

    def select(self) -> list[int]:
        groups = self.by_source()
        taken: list[int] = []
        for source, wanted in sorted(self.config.quotas.items()):
            members = groups.get(source, [])
            take = min(wanted, len(members))
            taken.extend(int(i) for i in self.rng.choice(members, size=take, replace=False))
        return sorted(taken)[: self.config.total]


def cli() -> argparse.Namespace:
    p = argparse.ArgumentParser()
    for name in ("--pool", "--history", "--out"):
        p.add_argument(name)
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args()


if __name__ == "__main__":
    a = cli()
    picked = Curator(a.pool, a.seed, Config()).select()
    with open(a.out, "w", encoding="utf-8") as f:
        f.write("\n".join(map(str, picked)) + "\n")
