"""Rows that are hard and unlike each other: messages pass over a graph of neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import directions, neighbours, part
from .method import Method, Parameters, Rows, below
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Forward messages raise a row's score by its neighbours'; each choice lowers those of its neighbours.

    With d the Euclidean distance and g ``gamma``: first s_i += sum_j exp(-g d_ij) s_j over the
    nearest ``neighbours``; then again and again the highest score is taken, and s_j -= exp(-g d_ij) s_i for the
    neighbours j of that row i.
    """
    rows = part(pool, count, rng)
    loss = pool.scalar("loss")
    loss = below(loss, loss, parameters["cut"])
    rows = rows[~np.isnan(loss[rows])]
    if not len(rows):
        return rows
    near, cosine = neighbours(directions(pool, rows), int(parameters["neighbours"]))
    weight = np.exp(-parameters["gamma"] * np.sqrt(np.maximum(0, 2 - 2 * cosine.astype(np.float64))))
    return rows[pruned(loss[rows], near, weight, count)]


def pruned(difficulty: NDArray[np.float64], near: NDArray[np.int64], weight: NDArray[np.float64], count: int) -> Rows:
    """Indices of the chosen points in the order they were taken."""
    score = difficulty + np.sum(weight * difficulty[near], axis=1)
    chosen = np.empty(min(count, len(score)), dtype=np.int64)
    for place in range(len(chosen)):
        best = int(np.argmax(score))
        chosen[place] = best
        score[near[best]] -= weight[best] * score[best]
        score[best] = -np.inf
    return chosen


METHOD = Method(
    name="d2",
    summary="difficult rows that are unlike each other, by messages over a graph of nearest neighbours",
    citation="Maharana et al. 2023, D2 Pruning: Message Passing for Balancing Diversity and Difficulty"
    " in Data Pruning, arXiv:2310.07931",
    where="section 3: forward and reverse message passing",
    differs="difficulty is the answer loss below its 95th percentile; in a large pool among a random part of it",
    needs=("loss", "embedding"),
    settings=(
        {"neighbours": 5.0, "gamma": 0.4, "cut": 0.95},
        {"neighbours": 5.0, "gamma": 1.0, "cut": 0.6},
    ),
    select=select,
)
