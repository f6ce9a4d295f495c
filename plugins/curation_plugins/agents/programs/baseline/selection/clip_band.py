"""The best pairs by CLIP B/32 score without the very best, which are often pictures of their own text."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """What is in the best share ``high``, and not in the best share ``low``."""
    values = scores(pool, "clip_b32")
    return kept(pool, best(values, parameters["high"]) & ~best(values, parameters["low"]), count, rng)


METHOD = Method(
    name="clip-band",
    summary="the best share of the pairs by the CLIP B/32 score, the very best left out",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="appendix P.1 and table 25: CLIP score (B/32) 1-30 %, 2-30 %, 5-30 %",
    needs=("pairs", "clip_b32"),
    settings=({"low": 0.01, "high": 0.3}, {"low": 0.02, "high": 0.3}, {"low": 0.05, "high": 0.3}),
    select=select,
    filters=True,
    large=True,
)
