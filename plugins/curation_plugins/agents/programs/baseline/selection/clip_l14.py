"""The best pairs by DataComp's CLIP L/14 score."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """The best ``fraction`` of the pool."""
    return kept(pool, best(scores(pool, "clip_l14"), parameters["fraction"]), count, rng)


METHOD = Method(
    name="clip-l14",
    summary="the best share of the pairs by the CLIP L/14 score",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: CLIP score (L/14)",
    needs=("pairs", "clip_l14"),
    settings=({"fraction": 0.3}, {"fraction": 0.4}, {"fraction": 0.2}, {"fraction": 0.5}, {"fraction": 0.1}),
    select=select,
    filters=True,
    large=True,
)
