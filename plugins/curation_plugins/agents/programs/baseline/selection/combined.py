"""Several filters one after another: fitting pairs, no near-copies, no hopeless answers."""

from __future__ import annotations

import numpy as np

from . import loss_band, near_duplicates, similarity_top
from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among those that pass every filter.

    The best ``fraction`` by similarity; one of each group of near-copies (``bits``); then the rows
    whose loss lies between the quantiles ``low`` and ``high`` of what is left.
    """
    fitting = np.sort(similarity_top.keep(pool, parameters["fraction"], count, rng))
    single = near_duplicates.keep(pool, fitting, parameters["bits"])
    return draw(loss_band.keep(pool, single, parameters), count, rng)


METHOD = Method(
    name="combined",
    summary="similarity filter, then near-duplicate removal, then the loss band",
    citation="Gadre et al. 2023 (intersections of filters), arXiv:2304.14108; Zheng et al. 2023,"
    " Coverage-centric Coreset Selection for High Pruning Rates (cut the hardest rows first),"
    " arXiv:2210.15809",
    needs=("similarity", "loss", "content"),
    settings=(
        {"fraction": 0.5, "bits": 2.0, "low": 0.0, "high": 0.8},
        {"fraction": 0.7, "bits": 2.0, "low": 0.0, "high": 0.6},
    ),
    select=select,
)
