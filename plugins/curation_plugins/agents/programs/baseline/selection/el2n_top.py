"""The rows with the largest error vectors, without those whose loss is that of noise."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, below, highest
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Highest EL2N among the rows whose answer loss is at most its quantile ``cut``."""
    return highest(below(pool.scalar("el2n"), pool.scalar("loss"), parameters["cut"]), count, rng)


METHOD = Method(
    name="el2n-top",
    summary="the rows with the highest EL2N of those below the 95th percentile of the answer loss",
    citation="Paul et al. 2021, Deep Learning on a Data Diet: Finding Important Examples Early in"
    " Training (EL2N), arXiv:2107.07075; Curation-Bench 2026 (cut at p95 of the answer's loss), arXiv:2606.04261",
    where="arXiv:2107.07075, definition 2.2: the expected length of softmax(x) - y",
    differs="mean over answer tokens, under one model before any training, not over ten early in training",
    needs=("el2n", "loss"),
    settings=({"cut": 0.95}, {"cut": 1.0}),
    select=select,
    large=True,
)
