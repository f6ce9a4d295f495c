"""Clusters again, but shares by transferability over density (COINCIDE, Lee et al. 2024), not one row each in turn.

Inside a cluster rows are taken so that their mean embedding follows the cluster's (herding).
"""

import argparse
import pathlib

import numpy as np
from sklearn.cluster import KMeans

TAKE = 120
N_CLUSTERS = 60
TAU = 0.05


def load(pool):
    x = np.load(pool / "signals" / "embeddings.npy").astype("float64")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def density(x):
    square = np.maximum(0, 2 - 2 * x @ x.T)
    return np.exp(-square / 2).mean()


def shares(x, labels, centres):
    unit = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, 0)
    transfer = cosine.sum(axis=1) / (len(unit) - 1)
    dense = np.array([density(x[labels == c]) for c in range(len(centres))])
    logits = transfer / (TAU * dense)
    weight = np.exp(logits - logits.max())
    return weight / weight.sum()


def herd(x, count):
    mean, total, chosen = x.mean(axis=0), np.zeros(x.shape[1]), []
    free = np.ones(len(x), bool)
    for step in range(1, count + 1):
        value = np.round(x @ (step * mean - total), 7)
        best = int(np.argmax(np.where(free, value, -np.inf)))
        chosen.append(best)
        total += x[best]
        free[best] = False
    return chosen


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pool", type=pathlib.Path)
    p.add_argument("--history", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=pathlib.Path)
    a = p.parse_args()
    x = load(a.pool)
    model = KMeans(n_clusters=N_CLUSTERS, n_init=3, random_state=a.seed).fit(x)
    share = shares(x, model.labels_, model.cluster_centers_)
    chosen, left = [], TAKE
    for c in np.argsort(-share, kind="stable"):
        members = np.flatnonzero(model.labels_ == c)
        count = min(len(members), left, int(np.ceil(share[c] * TAKE)))
        chosen += members[herd(x[members], count)].tolist()
        left -= count
    a.out.write_text("\n".join(map(str, sorted(chosen))) + "\n")


if __name__ == "__main__":
    main()
