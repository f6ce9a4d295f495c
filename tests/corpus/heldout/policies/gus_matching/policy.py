"""Gradient matching (after GRAD-MATCH, Killamsetty et al. 2021): greedily pick rows whose sum of gradients approaches
the target's mean gradient. Single influences are redundant: the top rows of attempt 1 all pull the same way.
"""

import argparse
import json
import os

import numpy as np

N_ROWS = 120
RIDGE = 0.5
MARKS = ("digit", "number", "colour", "sign", "opposite", "plus")


def read_jsonl(path):
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def orthogonal_pursuit(gradients, goal, size):
    """Orthogonal matching pursuit with a ridge; weights are thrown away, only the support is kept."""
    support, residual = [], goal.copy()
    for _ in range(size):
        fit = np.round(gradients @ residual, 8)
        fit[support] = -np.inf
        support.append(int(np.argmax(fit)))
        active = gradients[support]
        gram = active @ active.T + RIDGE * np.eye(len(support))
        weights = np.linalg.solve(gram, active @ goal)
        residual = goal - weights @ active
    return support


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    pool_rows = read_jsonl(os.path.join(ns.pool, "rows.jsonl"))
    entries = read_jsonl(os.path.join(ns.history, "signals", "gradient.jsonl"))
    gradients = np.array([e["value"] for e in entries])
    gradients /= np.linalg.norm(gradients, axis=1, keepdims=True)
    asked = [row["conversations"][0]["value"].lower() for row in pool_rows]
    like_target = [i for i, text in enumerate(asked) if any(mark in text for mark in MARKS)]
    goal = gradients[like_target].mean(axis=0) * N_ROWS
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{r}\n" for r in sorted(orthogonal_pursuit(gradients, goal, N_ROWS)))
