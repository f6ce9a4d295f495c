#!/usr/bin/env python3
"""QualityScore: a composite instruction-quality score per row; the best rows of every source are kept.

score = answer adequacy + dialogue economy + grounding + prompt clarity, each in {0, 1}
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Config:
    quotas: dict[str, int] = field(
        default_factory=lambda: {"north": 30, "amber": 25, "stone": 20, "maple": 15, "harbor": 20, "meadow": 10}
    )
    adequate_chars: int = 3
    economical_turns: int = 2
    clear_prompt_chars: int = 18
    quality_bar: int = 3
    total: int = 120


class QualityScore:
    """Composite quality of a record, 0..4."""

    def __init__(self, config: Config):
        self.config = config

    def adequacy(self, turns) -> int:
        return int(sum(len(t["value"]) for t in turns if t["from"] == "gpt") >= self.config.adequate_chars)

    def economy(self, turns) -> int:
        return int(len(turns) <= self.config.economical_turns)

    def grounding(self, record) -> int:
        return int(record["image"] is not None)

    def clarity(self, turns) -> int:
        return int(len(turns[0]["value"].replace("<image>\n", "")) >= self.config.clear_prompt_chars)

    def __call__(self, record: dict) -> int:
        turns = record["conversations"]
        return self.adequacy(turns) + self.economy(turns) + self.grounding(record) + self.clarity(turns)


class QualityCurator:
    def __init__(self, pool: str, seed: int, config: Config):
        self.config = config
        self.rng = np.random.default_rng(seed)
        self.scorer = QualityScore(config)
        with open(f"{pool}/rows.jsonl", encoding="utf-8") as f:
            self.records = [json.loads(line) for line in f]

    def high_quality(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = defaultdict(list)
        for index, record in enumerate(self.records):
            if self.scorer(record) >= self.config.quality_bar:
                groups[record["source"]].append(index)
        return groups

    def select(self) -> list[int]:
        groups = self.high_quality()
        taken: list[int] = []
        for source, wanted in sorted(self.config.quotas.items()):
            members = groups.get(source, [])
            taken.extend(int(i) for i in self.rng.choice(members, size=min(wanted, len(members)), replace=False))
        return sorted(taken)[: self.config.total]


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    for name in ("--pool", "--history", "--out"):
        p.add_argument(name)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    picked = QualityCurator(a.pool, a.seed, Config()).select()
    with open(a.out, "w", encoding="utf-8") as f:
        f.write("\n".join(map(str, picked)) + "\n")
