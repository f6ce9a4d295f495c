"""English captions among the best pairs by CLIP L/14 score: two filters at once."""

from __future__ import annotations

import numpy as np

from .clip_score import best, scores
from .english import english
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """What both filters keep; the share is one of the whole pool."""
    mask = best(scores(pool, "clip_l14"), parameters["fraction"]) & english(pool, "language")
    return kept(pool, mask, count, rng)


METHOD = Method(
    name="intersection",
    summary="English captions within the best share by the CLIP L/14 score",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 (filters are combined by intersection) and table 25",
    differs="where no table of labels is brought, a rule of our own stands in for fastText",
    needs=("pairs", "text", "clip_l14"),
    wants=("language",),
    settings=({"fraction": 0.3}, {"fraction": 0.5}),
    select=select,
    filters=True,
    large=True,
)
