"""LESS-like selection: rows whose gradient points where the gradient of target-like rows points (Xia et al. 2024)."""

import argparse
import json
import os

import numpy as np

N_ROWS = 120
TARGET_WORDS = {
    "digits": ("digit", "number"),
    "colours": ("colour",),
    "signs": ("sign",),
    "facts": ("opposite", "plus"),
}
PER_TASK = 12
TWIN_COSINE = 0.9988


def read_jsonl(path):
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def sketches(history):
    entries = read_jsonl(os.path.join(history, "signals", "gradient.jsonl"))
    matrix = np.array([e["value"] for e in sorted(entries, key=lambda e: e["row"])])
    return matrix / np.maximum(1e-9, np.linalg.norm(matrix, axis=1, keepdims=True))


def target_rows(rows, words):
    """The first few single-turn rows that ask the kind of question the benchmark asks."""
    found = []
    for index, row in enumerate(rows):
        question = row["conversations"][0]["value"].lower()
        if len(row["conversations"]) == 2 and any(w in question for w in words):
            found.append(index)
    return found[:PER_TASK]


def influence(gradients, rows):
    """Max over tasks of the cosine with the task's mean gradient, shape (rows,)."""
    per_task = []
    for words in TARGET_WORDS.values():
        mean = gradients[target_rows(rows, words)].mean(axis=0)
        per_task.append(gradients @ (mean / np.linalg.norm(mean)))
    return np.max(per_task, axis=0)


def drop_twins(order, pool):
    """Of rows whose embeddings are all but equal only the most influential stays; on this pool that drops a few rows."""
    points = np.load(os.path.join(pool, "signals", "embeddings.npy")).astype(np.float64)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kept = []
    for row in order:
        if not kept or np.max(points[kept] @ points[row]) < TWIN_COSINE:
            kept.append(int(row))
    return np.array(kept)


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    pool_rows = read_jsonl(os.path.join(ns.pool, "rows.jsonl"))
    value = np.round(influence(sketches(ns.history), pool_rows), 7)
    order = drop_twins(np.argsort(-value, kind="stable"), ns.pool)
    best = order[:N_ROWS]
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{int(r)}\n" for r in sorted(best))
