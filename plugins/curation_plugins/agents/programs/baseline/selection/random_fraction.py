"""Random shares of the pool, as DataComp's tables have them."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """int(``fraction`` x rows) random rows."""
    return draw(pool.ids, min(count, int(parameters["fraction"] * len(pool.ids))), rng)


METHOD = Method(
    name="random-fraction",
    summary="a random share of the pairs",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: random subset",
    needs=("pairs",),
    settings=({"fraction": 0.25}, {"fraction": 0.5}, {"fraction": 0.75}, {"fraction": 0.1}, {"fraction": 0.01}),
    select=select,
    filters=True,
    large=True,
)
