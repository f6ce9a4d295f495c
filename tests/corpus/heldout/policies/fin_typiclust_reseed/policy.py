"""TypiClust (Hacohen et al. 2022): cluster, then take the most typical row of each cluster in turn."""

import argparse
import pathlib

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

TAKE = 120
CLUSTERS = 40
KNN = 8


def load(pool):
    x = np.load(pool / "signals" / "embeddings.npy").astype("float64")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def typicality(x):
    """Inverse mean distance to the nearest neighbours."""
    k = min(KNN + 1, len(x))
    distance, _ = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(x)
    return 1.0 / (distance[:, 1:].mean(axis=1) + 1e-6) if k > 1 else np.ones(len(x))


def round_robin(x, labels):
    queues = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = members[np.argsort(-np.round(typicality(x[members]), 6), kind="stable")]
        queues.append(list(order))
    queues.sort(key=len, reverse=True)
    chosen = []
    while len(chosen) < TAKE and any(queues):
        for queue in queues:
            if queue and len(chosen) < TAKE:
                chosen.append(int(queue.pop(0)))
    return sorted(chosen)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pool", type=pathlib.Path)
    p.add_argument("--history", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=pathlib.Path)
    a = p.parse_args()
    x = load(a.pool)
    labels = KMeans(n_clusters=CLUSTERS, n_init=3, random_state=a.seed * 31 + 5).fit_predict(x)
    a.out.write_text("\n".join(map(str, round_robin(x, labels))) + "\n")


if __name__ == "__main__":
    main()
