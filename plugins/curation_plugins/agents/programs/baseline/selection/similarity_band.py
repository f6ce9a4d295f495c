"""Rows whose image and text fit, but not better than pictures of their own text would."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows whose similarity lies between its quantiles ``low`` and ``high``."""
    similarity = pool.scalar("similarity")
    if np.all(np.isnan(similarity)):
        return pool.ids[:0]
    low, high = np.nanquantile(similarity, [parameters["low"], parameters["high"]])
    inside: Rows = np.flatnonzero((similarity >= low) & (similarity <= high))
    return draw(inside, count, rng)


METHOD = Method(
    name="similarity-band",
    summary="random rows out of a band of the image-text similarity, the very top left out",
    citation="Gadre et al. 2023, DataComp (CLIP score filtering), arXiv:2304.14108; Maini et al. 2023, T-MARS (the"
    " highest scores are pictures of the caption's words), arXiv:2307.03132",
    where="DataComp, section 5.1 (threshold at a quantile); T-MARS, section 3 (why not the top)",
    differs="T-MARS masks text in the pictures and scores again; here the top quantile is cut",
    needs=("similarity",),
    settings=({"low": 0.5, "high": 0.95}, {"low": 0.7, "high": 0.95}),
    select=select,
    large=True,
)
