"""Pairs that agree, one of each group that means the same, of middling perplexity: attempts 1 to 3 in sequence."""

import numpy as np
from pool import arguments, column, embeddings, hand_in, room

FRACTION = 0.5
CLUSTERS = 60
STAYS = 0.6
SHARE = 0.5


def agreement(pool):
    similarity = column(pool, "similarity")
    return np.where(np.isnan(similarity), -np.inf, similarity)


def threshold(scores):
    known = np.sort(scores[np.isfinite(scores)])[::-1]
    return known[int(FRACTION * len(known))]


def keep(scores, least):
    return np.flatnonzero(scores >= least)


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


def perplexity(pool):
    return np.exp(np.minimum(column(pool, "answer_loss"), 50.0))


def middle(values):
    low, high = np.quantile(values, [0.35 - SHARE / 2, 0.35 + SHARE / 2])
    return np.flatnonzero((values >= low) & (values <= high))


def draw(rows, count, seed):
    return np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)


def main():
    given = arguments()
    scores = agreement(given.pool)
    vectors = directions(given.pool)
    single = stay(copied(vectors, *clusters(vectors, given.seed)))
    agreed = keep(scores, threshold(scores))
    both = np.intersect1d(single, agreed)
    values = perplexity(given.pool)[both]
    hand_in(given.out, draw(both[middle(values)], room(len(scores)), given.seed))


main()
