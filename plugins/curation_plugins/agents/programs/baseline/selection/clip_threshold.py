"""Pairs whose CLIP B/32 score reaches a fixed threshold, whatever share of the pool they are."""

from __future__ import annotations

import numpy as np

from .clip_score import at_least, scores
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Scores of ``least`` or more."""
    return kept(pool, at_least(scores(pool, "clip_b32"), parameters["least"]), count, rng)


METHOD = Method(
    name="clip-threshold",
    summary="pairs whose CLIP B/32 score is at least a fixed number",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="table 25: CLIP score (B/32), threshold at 0.3 and at 0.28",
    needs=("pairs", "clip_b32"),
    settings=({"least": 0.3}, {"least": 0.28}),
    select=select,
    filters=True,
    large=True,
)
