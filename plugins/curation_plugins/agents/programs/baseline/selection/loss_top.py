"""The rows that the base model finds hardest, without the hardest of all."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, below, highest
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Highest loss of the untrained base model on the answer, up to the quantile ``cut``; 1 cuts nothing."""
    loss = pool.scalar("loss")
    return highest(below(loss, loss, parameters["cut"]), count, rng)


METHOD = Method(
    name="loss-top",
    summary="the rows on whose answers the base model's loss is highest, those above the 95th percentile left out",
    citation="Paul et al. 2021, Deep Learning on a Data Diet: Finding Important Examples Early in"
    " Training (highest scores; the very highest are noise), arXiv:2107.07075; Curation-Bench 2026 (cut at p95 of the"
    " answer's loss), arXiv:2606.04261",
    where="arXiv:2107.07075, sections 3 and 4: the highest scores, with an offset where labels are noisy",
    differs="the score is the mean loss over answer tokens",
    needs=("loss",),
    settings=({"cut": 0.95}, {"cut": 1.0}),
    select=select,
    large=True,
)
