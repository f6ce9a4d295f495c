"""English captions whose pictures are like those of a target set."""

from __future__ import annotations

import numpy as np

from .image_clusters import near_targets, says_something
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Pairs with a caption that says something, in a cluster that a target picture falls into."""
    return kept(pool, near_targets(pool, parameters, rng) & says_something(pool), count, rng)


METHOD = Method(
    name="image-based",
    summary="English captions whose picture falls into a cluster with a target picture",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1, appendix P and table 25: image-based (ImageNet)",
    differs="the target vectors are the user's; clusters of the pool at hand, about 50 pictures each, unless"
    " centroids are brought; the label rule of `english`",
    needs=("pairs", "text", "image_features", "target_images"),
    wants=("language", "centroids"),
    target=True,
    settings=({"clusters": 1000.0},),
    select=select,
    filters=True,
)
