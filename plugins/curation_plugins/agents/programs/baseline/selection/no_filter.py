"""The whole pool: what every filter of DataComp has to beat."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Every row, or random ones where the task takes fewer."""
    return draw(pool.ids, count, rng)


METHOD = Method(
    name="no-filter",
    summary="every pair of the pool",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: no filtering",
    needs=("pairs",),
    settings=({},),
    select=select,
    filters=True,
    large=True,
)
