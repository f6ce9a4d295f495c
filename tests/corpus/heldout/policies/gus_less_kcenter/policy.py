"""Attempts 1 and 3 together: the 220 rows with the highest gradient influence, then k-center among them in embedding
space. Influence alone repeated itself, coverage alone took outliers.
"""

import argparse
import json
import os

import numpy as np

N_ROWS = 120
SHORTLIST = 220
TARGET_WORDS = {
    "digits": ("digit", "number"),
    "colours": ("colour",),
    "signs": ("sign",),
    "facts": ("opposite", "plus"),
}
PER_TASK = 12


def read_jsonl(path):
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def sketches(history):
    entries = read_jsonl(os.path.join(history, "signals", "gradient.jsonl"))
    matrix = np.array([e["value"] for e in sorted(entries, key=lambda e: e["row"])])
    return matrix / np.maximum(1e-9, np.linalg.norm(matrix, axis=1, keepdims=True))


def target_rows(rows, words):
    found = []
    for index, row in enumerate(rows):
        question = row["conversations"][0]["value"].lower()
        if len(row["conversations"]) == 2 and any(w in question for w in words):
            found.append(index)
    return found[:PER_TASK]


def influence(gradients, rows):
    per_task = []
    for words in TARGET_WORDS.values():
        mean = gradients[target_rows(rows, words)].mean(axis=0)
        per_task.append(gradients @ (mean / np.linalg.norm(mean)))
    return np.max(per_task, axis=0)


def spread(points, size, first):
    chosen, gap = [first], np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < size:
        gap[chosen] = -1
        new = int(np.argmax(np.round(gap, 6)))
        chosen.append(new)
        gap = np.minimum(gap, np.linalg.norm(points - points[new], axis=1))
    return chosen


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    pool_rows = read_jsonl(os.path.join(ns.pool, "rows.jsonl"))
    value = np.round(influence(sketches(ns.history), pool_rows), 7)
    short = np.argsort(-value, kind="stable")[:SHORTLIST]
    points = np.load(os.path.join(ns.pool, "signals", "embeddings.npy")).astype(float)[short]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    best = short[spread(points, N_ROWS, ns.seed % SHORTLIST)]
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{int(r)}\n" for r in sorted(best))
