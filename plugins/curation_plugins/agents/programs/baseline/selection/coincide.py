"""Clusters get shares by how transferable and how diverse they are; inside, rows that stand for the cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import directions, members, part, spherical_k_means
from .method import Method, Parameters, Rows, draw
from .pool import Pool

A_CLUSTER = 67
"""Rows a cluster on average, as in LLaVA-665K with 10,000 clusters."""
TOO_ALIKE = 0.9
"""Cosine of two centroids above which one does not count for the other's transferability."""
KERNEL_ROWS = 3000
"""Rows of a cluster, drawn at random from a larger one, whose kernel matrix is affordable."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Share of cluster i: exp(S_i / (tau D_i)), S its transferability and D its density."""
    rows = part(pool, count, rng)
    points = directions(pool, rows)
    cluster, centroids = spherical_k_means(points, max(1, len(rows) // A_CLUSTER), rng)
    inside = members(cluster, len(centroids))
    kept = [number for number, group in enumerate(inside) if len(group)]
    groups = [draw(inside[number], KERNEL_ROWS, rng) for number in kept]
    kernels = [gaussian(points[np.sort(group)]) for group in groups]
    density = np.array([kernel.mean() for kernel in kernels])
    wanted = transferability(centroids[kept]) / (parameters["tau"] * density)
    taken = quotas(wanted, np.array([len(group) for group in groups]), count)
    chosen = [
        np.sort(group)[representatives(kernel, quota)]
        for group, kernel, quota in zip(groups, kernels, taken, strict=True)
    ]
    places: Rows = np.concatenate([*chosen, np.zeros(0, dtype=np.int64)])
    return rows[places]


def transferability(centroids: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean cosine of each centroid to the others that are not nearly the same."""
    cosine = (centroids @ centroids.T).astype(np.float64)
    counted = cosine <= TOO_ALIKE
    np.fill_diagonal(counted, False)
    mean: NDArray[np.float64] = np.where(counted, cosine, 0).sum(axis=1) / np.maximum(1, counted.sum(axis=1))
    return mean


def gaussian(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """exp(-|x-y|^2 / 2) of all pairs, from 0.14 to 1 for unit vectors."""
    square = np.maximum(0.0, 2 - 2 * (points @ points.T).astype(np.float64))
    kernel: NDArray[np.float64] = np.exp(-square / 2)
    return kernel


def quotas(logits: NDArray[np.float64], sizes: NDArray[np.int64], count: int) -> list[int]:
    """Rows to take from each cluster: shares by softmax; what a small one cannot give goes to those after it."""
    order = np.argsort(-logits, kind="stable")
    weight = np.exp(logits - logits.max())
    left, taken = min(count, int(sizes.sum())), np.zeros(len(logits), dtype=np.int64)
    for place, number in enumerate(order):
        rest = weight[order[place:]].sum()
        share = weight[number] / rest if rest > 0 else 1.0
        taken[number] = min(int(sizes[number]), int(np.ceil(left * share)))
        left -= int(taken[number])
    return [int(number) for number in taken]


def representatives(kernel: NDArray[np.float64], count: int) -> Rows:
    """Indices that greedily make the MMD between the chosen and the whole cluster small (Kim et al. 2016)."""
    to_all = kernel.mean(axis=1)
    diagonal = kernel.diagonal()
    to_chosen = np.zeros(len(kernel))
    free = np.ones(len(kernel), dtype=np.bool_)
    chosen = np.empty(count, dtype=np.int64)
    attraction = repulsion = 0.0
    for place in range(count):
        n = place + 1
        gain = 2 * (attraction + to_all) / n - (repulsion + 2 * to_chosen + diagonal) / n**2
        best = int(np.argmax(np.where(free, np.round(gain, 9), -np.inf)))
        chosen[place] = best
        attraction += to_all[best]
        repulsion += 2 * to_chosen[best] + diagonal[best]
        to_chosen += kernel[best]
        free[best] = False
    return chosen


METHOD = Method(
    name="coincide",
    summary="clusters get shares by transferability over density; inside, rows that stand for their cluster",
    citation="Lee et al. 2024, Concept-skill Transferability-based Data Selection for Large"
    " Vision-Language Models (COINCIDE), arXiv:2406.10995",
    where="section 3: transferability and density of clusters, shares exp(S/(tau D)); within a cluster greedy MMD",
    differs="the pool's embeddings stand for the activations of five layers of TinyLLaVA-2B; in a large pool among a"
    " random part of it",
    needs=("embedding",),
    settings=({"tau": 0.1}, {"tau": 0.5}),
    select=select,
)
