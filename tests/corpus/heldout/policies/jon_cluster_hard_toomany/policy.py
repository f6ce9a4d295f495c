"""Hardest rows per cluster: K-means on the embedding, the rows of highest base loss of each cluster."""
import argparse
import csv

import numpy as np
from sklearn.cluster import KMeans

CLUSTERS = 20
EACH = 8


def base_loss(pool):
    with open(pool + "/signals/signals.csv", newline="") as table:
        return np.array([float(line["answer_loss"]) for line in csv.DictReader(table)])


def hardest_of_each(labels, loss):
    picks = []
    for cluster in range(CLUSTERS):
        members = np.flatnonzero(labels == cluster)
        worst = members[np.argsort(-loss[members], kind="stable")][:EACH]
        picks.extend(worst.tolist())
    return picks


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    vectors = np.load(opts.pool + "/signals/embeddings.npy").astype(np.float64)
    labels = KMeans(CLUSTERS, n_init=2, random_state=opts.seed).fit_predict(vectors)
    rows = hardest_of_each(labels, base_loss(opts.pool))
    assert max(rows) < len(vectors), f"row {max(rows)} is not in the pool of {len(vectors)} rows"
    with open(opts.out, "w") as target:
        target.write("\n".join(map(str, sorted(rows))))
