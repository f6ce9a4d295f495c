"""The best pairs by DataComp's CLIP B/32 score."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """The best ``fraction`` of the pool."""
    return kept(pool, best(scores(pool, "clip_b32"), parameters["fraction"]), count, rng)


METHOD = Method(
    name="clip-b32",
    summary="the best share of the pairs by the CLIP B/32 score",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: CLIP score (B/32)",
    needs=("pairs", "clip_b32"),
    settings=({"fraction": 0.3}, {"fraction": 0.4}, {"fraction": 0.2}, {"fraction": 0.5}, {"fraction": 0.1}),
    select=select,
    filters=True,
    large=True,
)
