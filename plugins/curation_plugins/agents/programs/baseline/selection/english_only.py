"""Pairs with an English caption."""

from __future__ import annotations

import numpy as np

from .english import english
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Captions whose language is English, whatever they say."""
    return kept(pool, english(pool, "language"), count, rng)


METHOD = Method(
    name="english",
    summary="pairs with an English caption",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="table 25: English filtering (fastText)",
    differs="where no table of labels is brought, a rule of our own stands in for fastText",
    needs=("pairs", "text"),
    wants=("language",),
    settings=({},),
    select=select,
    filters=True,
    large=True,
)
