"""DataComp's best filter at larger scales: image-based, and within the best by CLIP L/14 score."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .image_clusters import near_targets, says_something
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """What both filters keep; the share is one of the whole pool."""
    mask = near_targets(pool, parameters, rng) & says_something(pool)
    return kept(pool, mask & best(scores(pool, "clip_l14"), parameters["fraction"]), count, rng)


METHOD = Method(
    name="image-and-clip",
    summary="the image-based filter within the best share by the CLIP L/14 score",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: image-based and CLIP score (L/14 30 %)",
    differs="the target vectors are the user's; clusters of the pool at hand, about 50 pictures each, unless"
    " centroids are brought; the label rule of `english`",
    needs=("pairs", "text", "image_features", "target_images", "clip_l14"),
    wants=("language", "centroids"),
    target=True,
    settings=({"clusters": 1000.0, "fraction": 0.3},),
    select=select,
    filters=True,
)
