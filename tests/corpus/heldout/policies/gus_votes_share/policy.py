"""Votes instead of the maximum (after ICONS, Wu et al. 2024): each task votes for its top share of rows by gradient
influence; rows with most votes win. The maximum of attempt 1 let the digits task fill nearly half of the selection.
"""

import argparse
import json
import os

import numpy as np

N_ROWS = 120
VOTE_SHARE = 0.15
TARGET_WORDS = {
    "digits": ("digit", "number"),
    "colours": ("colour",),
    "signs": ("sign",),
    "facts": ("opposite", "plus"),
}
PER_TASK = 30


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


def ballots(gradients, rows):
    """One row per task: whether the row is in the task's top share."""
    cast, strength = [], []
    for words in TARGET_WORDS.values():
        members = gradients[target_rows(rows, words)]
        score = (gradients @ members.T).mean(axis=1)
        bar = np.quantile(score, 1 - VOTE_SHARE)
        cast.append(score >= bar)
        strength.append((score - score.mean()) / score.std())
    return np.array(cast), np.array(strength)


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int)
    cli.add_argument("--out")
    ns = cli.parse_args()
    pool_rows = read_jsonl(os.path.join(ns.pool, "rows.jsonl"))
    cast, strength = ballots(sketches(ns.history), pool_rows)
    votes = cast.sum(axis=0)
    order = np.lexsort((np.round(-strength.mean(axis=0), 7), -votes))
    with open(ns.out, "w", encoding="utf-8") as handle:
        handle.writelines(f"{int(r)}\n" for r in sorted(order[:N_ROWS]))
