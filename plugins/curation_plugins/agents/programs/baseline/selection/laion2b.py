"""The rule that LAION-2B was filtered by."""

from __future__ import annotations

import numpy as np

from .clip_score import at_least, scores
from .english import english
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """English captions (by gcld3's labels where there are any) and CLIP B/32 scores of ``least`` or more."""
    mask = english(pool, "gcld3", "language") & at_least(scores(pool, "clip_b32"), parameters["least"])
    return kept(pool, mask, count, rng)


METHOD = Method(
    name="laion2b",
    summary="English captions, and a CLIP B/32 score of at least 0.28",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108;"
    " Schuhmann et al. 2022, LAION-5B, arXiv:2210.08402",
    where="DataComp, section 4.1 and table 25: LAION-2B filtering",
    differs="where no table of labels is brought, a rule of our own stands in for gcld3",
    needs=("pairs", "text", "clip_b32"),
    wants=("gcld3", "language"),
    settings=({"least": 0.28}, {"least": 0.3}),
    select=select,
    filters=True,
    large=True,
)
