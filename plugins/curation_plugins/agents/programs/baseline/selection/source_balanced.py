"""The same number of rows from every source, as far as the small ones reach."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Equal shares; what a small source cannot give goes to the larger ones."""
    return balance(pool.ids, pool, count, rng)


def balance(candidates: Rows, pool: Pool, count: int, rng: np.random.Generator) -> Rows:
    """Draw from the candidates, evenly over their sources, the smallest source first."""
    sources = pool.sources[candidates]
    names, sizes = np.unique(sources, return_counts=True)
    chosen: list[Rows] = []
    left = count
    for place, which in enumerate(np.argsort(sizes, kind="stable")):
        members = candidates[sources == names[which]]
        taken = draw(members, left // (len(names) - place), rng)
        chosen.append(taken)
        left -= len(taken)
    return np.concatenate(chosen) if chosen else candidates[:0]


METHOD = Method(
    name="source-balanced",
    summary="an equal number of random rows from every source",
    citation="Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified"
    " Text-to-Text Transformer (equal mixing), arXiv:1910.10683",
    needs=("source",),
    settings=({},),
    select=select,
)
