"""The best pairs by the CLIP score of the picture with its text masked."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """The best ``fraction`` of the pool by the masked score."""
    return kept(pool, best(scores(pool, "masked"), parameters["fraction"]), count, rng)


METHOD = Method(
    name="tmars",
    summary="the best half of the pairs by the CLIP score of the picture with its text masked",
    citation="Maini et al. 2023, T-MARS: Improving Visual Representations by Circumventing Text Feature Learning,"
    " arXiv:2307.03132",
    where="section 4: text is masked, scored again, and half of the pool stays",
    differs="the masked scores are brought along, not computed",
    needs=("pairs", "masked"),
    settings=({"fraction": 0.5}, {"fraction": 0.3}),
    select=select,
    filters=True,
    large=True,
)
