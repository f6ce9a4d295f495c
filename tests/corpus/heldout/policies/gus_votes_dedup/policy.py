"""Rows that win the vote of the tasks AND survive semantic deduplication; the vote alone took many twins."""

import argparse
import json
import os

import numpy as np
from sklearn.cluster import KMeans

N_ROWS = 120
VOTE_SHARE = 0.3
CLUSTERS, EPS = 12, 0.25
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


def vote(history, rows):
    entries = read_jsonl(os.path.join(history, "signals", "gradient.jsonl"))
    g = np.array([e["value"] for e in sorted(entries, key=lambda e: e["row"])])
    g /= np.maximum(1e-9, np.linalg.norm(g, axis=1, keepdims=True))
    asked = [r["conversations"][0]["value"].lower() if len(r["conversations"]) == 2 else "" for r in rows]
    votes, strength = np.zeros(len(rows)), np.zeros(len(rows))
    for words in TARGET_WORDS.values():
        members = [i for i, text in enumerate(asked) if any(w in text for w in words)][:PER_TASK]
        score = (g @ g[members].T).mean(axis=1)
        votes += score >= np.quantile(score, 1 - VOTE_SHARE)
        strength += (score - score.mean()) / score.std()
    return np.lexsort((np.round(-strength, 7), -votes))


def survivors(pool, seed):
    x = np.load(os.path.join(pool, "signals", "embeddings.npy")).astype(float)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    model = KMeans(n_clusters=CLUSTERS, n_init=4, random_state=seed).fit(x)
    alive = set()
    for c in range(CLUSTERS):
        idx = np.flatnonzero(model.labels_ == c)
        idx = idx[np.argsort(x[idx] @ model.cluster_centers_[c], kind="stable")]
        twin = np.triu(x[idx] @ x[idx].T, k=1).max(axis=0)
        alive.update(idx[twin < 1 - EPS].tolist())
    return alive


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    alive = survivors(ns.pool, ns.seed)
    ranked = vote(ns.history, read_jsonl(os.path.join(ns.pool, "rows.jsonl")))
    chosen = [int(r) for r in ranked if int(r) in alive][:N_ROWS]
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{r}\n" for r in sorted(chosen))
