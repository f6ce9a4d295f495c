"""Influence with a coverage stage and a similarity gate (both prepared here)."""

import argparse
import json
import os

import csv

import numpy as np
from sklearn.cluster import KMeans

N_ROWS = 120
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


def coverage_stage(points, size, seed):
    """Nearest row to each of ``size`` centroids."""
    model = KMeans(n_clusters=size, n_init=2, random_state=seed).fit(points)
    distance = model.transform(points)
    return sorted({int(distance[:, c].argmin()) for c in range(size)})


def similarity_gate(pool, low=0.1):
    with open(os.path.join(pool, "signals", "signals.csv"), newline="") as handle:
        values = [float(r["similarity"] or "nan") for r in csv.DictReader(handle)]
    return np.flatnonzero(np.array(values) >= low)


USE_COVERAGE = False
USE_GATE = False


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    pool_rows = read_jsonl(os.path.join(ns.pool, "rows.jsonl"))
    value = np.round(influence(sketches(ns.history), pool_rows), 7)
    order = np.argsort(-value, kind="stable")
    if USE_GATE:
        order = order[np.isin(order, similarity_gate(ns.pool))]
    if USE_COVERAGE:
        points = np.load(os.path.join(ns.pool, "signals", "embeddings.npy"))
        order = order[np.isin(order, coverage_stage(points, N_ROWS, ns.seed))]
    best = order[:N_ROWS]
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{int(r)}\n" for r in sorted(best))
