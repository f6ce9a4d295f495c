"""Uniform random rows: the selection that every other one has to beat."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Draw without replacement."""
    return draw(pool.ids, count, rng)


METHOD = Method(
    name="random",
    summary="uniform random rows, the control",
    citation="Xia et al. 2024, Rethinking Data Selection at Scale: Random Selection is Almost All"
    " You Need, arXiv:2410.09335",
    needs=(),
    settings=({},),
    select=select,
    large=True,
)
