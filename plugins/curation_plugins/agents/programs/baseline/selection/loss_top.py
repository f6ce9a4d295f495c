"""The rows that the base model finds hardest."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, highest
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Highest loss of the untrained base model on the answer."""
    return highest(pool.scalar("loss"), count, rng)


METHOD = Method(
    name="loss-top",
    summary="the rows on whose answers the base model's loss is highest",
    citation="Paul et al. 2021, Deep Learning on a Data Diet: Finding Important Examples Early in"
    " Training (highest EL2N scores), arXiv:2107.07075",
    needs=("loss",),
    settings=({},),
    select=select,
)
