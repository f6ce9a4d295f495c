"""The most typical row of each of many clusters, after TypiClust."""

import numpy as np
from pool import arguments, embeddings, hand_in, room

LARGEST = 500
NEIGHBOURS = 20


def directions(pool):
    vectors = embeddings(pool)
    vectors = vectors - vectors.mean(axis=0)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def partition(vectors, count, seed):
    rng = np.random.default_rng(seed)
    centres = vectors[rng.choice(len(vectors), min(count, LARGEST), replace=False)]
    for _ in range(8):
        member = np.argmax(np.round(vectors @ centres.T, 6), axis=1)
        for cluster in range(len(centres)):
            if (member == cluster).any():
                centres[cluster] = vectors[member == cluster].mean(axis=0)
    return member


def typicality(vectors, member):
    typical = np.zeros(len(vectors))
    for cluster in np.unique(member):
        rows = np.flatnonzero(member == cluster)
        gaps = np.sqrt(np.maximum(2 - 2 * vectors[rows] @ vectors[rows].T, 0))
        near = np.sort(gaps, axis=1)[:, 1 : NEIGHBOURS + 1]
        typical[rows] = 1 / (near.mean(axis=1) + 1e-6) if near.shape[1] else 0
    return np.round(typical, 6)


def take(member, typical, count):
    """One row a cluster and round, the largest clusters first."""
    left = {}
    for cluster in np.unique(member):
        rows = np.flatnonzero(member == cluster)
        if len(rows) >= 5:
            left[cluster] = list(rows[np.argsort(-typical[rows], kind="stable")])
    order = sorted(left, key=lambda cluster: -len(left[cluster]))
    chosen = []
    while len(chosen) < count and any(left.values()):
        for cluster in order:
            if left[cluster] and len(chosen) < count:
                chosen.append(left[cluster].pop(0))
    return chosen


def main():
    given = arguments()
    vectors = directions(given.pool)
    member = partition(vectors, room(len(vectors)), given.seed)
    hand_in(given.out, take(member, typicality(vectors, member), room(len(vectors))))


main()
