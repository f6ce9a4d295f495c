from __future__ import annotations

"""Quality times diversity: the DPP of attempt 2 with the IFD-like rank of attempt 1 as the quality of a row."""

import argparse
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Plan:
    rows: int = 120
    ridge: float = 0.05
    sharpness: float = 2.0


def prompt_help(pool: Path, history: Path) -> np.ndarray:
    answers = []
    for line in (pool / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        said = " ".join(t["value"] for t in json.loads(line)["conversations"] if t["from"] == "gpt")
        answers.append(re.findall(r"\w+", said.lower()) or ["-"])
    freq = Counter(word for words in answers for word in words)
    total = sum(freq.values())
    alone = np.array([-np.mean([math.log(freq[w] / total) for w in words]) for words in answers])
    given = np.array([json.loads(line)["value"] for line in (history / "signals" / "answer-loss.jsonl").open()])
    ratio = given / alone / np.median(given / alone)
    return np.where((ratio > 0) & (ratio <= 1), ratio, 0.01)


def greedy(kernel: np.ndarray, rows: int) -> list[int]:
    factor, gain, chosen = np.zeros((rows, len(kernel))), kernel.diagonal().copy(), []
    for step in range(rows):
        best = int(np.argmax(np.round(gain, 8)))
        chosen.append(best)
        factor[step] = (kernel[best] - factor[:step].T @ factor[:step, best]) / np.sqrt(gain[best])
        gain = gain - factor[step] ** 2
        gain[chosen] = -np.inf
    return sorted(chosen)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path)
    ns = ap.parse_args()
    plan = Plan()
    x = np.load(ns.pool / "signals" / "embeddings.npy").astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    quality = np.exp(plan.sharpness * prompt_help(ns.pool, ns.history))
    kernel = quality[:, None] * (x @ x.T + plan.ridge * np.eye(len(x))) * quality[None, :]
    ns.out.write_text("".join(f"{r}\n" for r in greedy(kernel, plan.rows)))
