"""TypiClust (Hacohen et al. 2022): cluster, then take the most typical row of each cluster in turn."""

import argparse
import json
import pathlib

import numpy as np
from sklearn.cluster import KMeans

TAKE = 120
N_CLUSTERS = 2


def load(history):
    x = np.array([json.loads(line)["value"] for line in (history / "signals" / "gradient.jsonl").open()])
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def typicality(x, wanted):
    """Agreement with the direction that the weak rows pull in."""
    return x @ wanted


def weak_direction(history, x):
    loss = np.array([json.loads(line)["value"] for line in (history / "signals" / "answer-loss-attempt1.jsonl").open()])
    wanted = x[np.argsort(-loss, kind="stable")[:60]].mean(axis=0)
    return wanted / np.linalg.norm(wanted)


def pick(x, labels, wanted):
    score = np.round(typicality(x, wanted), 6)
    queue = list(np.argsort(-score, kind="stable"))
    chosen = []
    while len(chosen) < TAKE and queue:
        chosen.append(int(queue.pop(0)))
    return sorted(chosen)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pool", type=pathlib.Path)
    p.add_argument("--history", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=pathlib.Path)
    a = p.parse_args()
    x = load(a.history)
    wanted = weak_direction(a.history, x)
    labels = KMeans(n_clusters=N_CLUSTERS, n_init=3, random_state=a.seed).fit_predict(x)
    a.out.write_text("\n".join(map(str, pick(x, labels, wanted))) + "\n")


if __name__ == "__main__":
    main()
