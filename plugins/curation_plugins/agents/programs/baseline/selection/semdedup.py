"""One row out of every group of rows that mean nearly the same, then random rows among those left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import AT_ONCE, directions, members, spherical_k_means
from .method import Method, Parameters, Rows, draw
from .pool import Pool

A_CLUSTER = 67
"""Rows a cluster on average, about as in LLaVA-665K with 10,000 clusters; at most ``CLUSTERS``."""
CLUSTERS = 2000


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among the share ``keep`` that is least like a row before it in its cluster."""
    rows = pool.ids
    points = directions(pool, rows)
    clusters = int(np.clip(len(rows) // A_CLUSTER, 1, CLUSTERS))
    cluster, centroids = spherical_k_means(points, clusters, rng)
    alike = np.full(len(rows), -1.0)
    for number, inside in enumerate(members(cluster, len(centroids))):
        farthest_first = inside[np.argsort(points[inside] @ centroids[number], kind="stable")]
        alike[farthest_first] = most_alike_before(points[farthest_first])
    limit = np.quantile(alike, parameters["keep"])
    return draw(rows[alike <= limit], count, rng)


def most_alike_before(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each point's highest cosine with a point that stands before it; -1 for the first."""
    out = np.full(len(points), -1.0)
    for start in range(0, len(points), AT_ONCE):
        stop = min(start + AT_ONCE, len(points))
        block = points[start:stop] @ points[:stop].T
        later = np.arange(stop)[None, :] >= np.arange(start, stop)[:, None]
        out[start:stop] = np.where(later, -1.0, block).max(axis=1)
    return out


METHOD = Method(
    name="semdedup",
    summary="random rows after those were removed that mean nearly the same as another one",
    citation="Abbas et al. 2023, SemDeDup: Data-efficient learning at web-scale through semantic"
    " deduplication, arXiv:2303.09540",
    where="section 3 and algorithm 1: k-means, cosines within a cluster, the one farthest from the centroid stays",
    differs="the threshold is set by the share that is to stay, as the paper chooses its epsilon; cosines of centred,"
    " randomly projected embeddings; about 67 rows a cluster",
    needs=("embedding",),
    settings=({"keep": 0.7}, {"keep": 0.5}),
    select=select,
)
