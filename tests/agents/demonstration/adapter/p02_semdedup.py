"""One of each group of rows that mean the same, after SemDeDup."""

import numpy as np
from pool import arguments, embeddings, hand_in, room

CLUSTERS = 60
STAYS = 0.6


def directions(pool):
    vectors = embeddings(pool)
    vectors = vectors - vectors.mean(axis=0)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def clusters(vectors, seed):
    rng = np.random.default_rng(seed)
    centres = vectors[rng.choice(len(vectors), min(CLUSTERS, len(vectors) // 4), replace=False)]
    for _ in range(8):
        nearest = np.argmax(np.round(vectors @ centres.T, 6), axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return nearest, centres


def copied(vectors, nearest, centres):
    """For each row the largest cosine with a row of its cluster that lies farther out."""
    worst = np.full(len(vectors), -1.0)
    for cluster in range(len(centres)):
        members = np.flatnonzero(nearest == cluster)
        order = members[np.argsort(np.round(vectors[members] @ centres[cluster], 6), kind="stable")]
        cosines = np.tril(np.round(vectors[order] @ vectors[order].T, 6), k=-1)
        if len(order) > 1:
            worst[order[1:]] = cosines[1:].max(axis=1)
    return worst


def stay(worst):
    limit = np.quantile(worst, STAYS)
    return np.flatnonzero(worst <= limit)


def main():
    given = arguments()
    vectors = directions(given.pool)
    kept = stay(copied(vectors, *clusters(vectors, given.seed)))
    rng = np.random.default_rng(given.seed)
    hand_in(given.out, rng.choice(kept, min(room(len(vectors)), len(kept)), replace=False))


main()
