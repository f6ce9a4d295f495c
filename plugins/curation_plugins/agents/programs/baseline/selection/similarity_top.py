"""Rows whose image and text fit best, by a contrastive model's score."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw, highest
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows out of the best ``fraction`` of those that have a score.

    A fraction that holds fewer than ``count`` rows, such as 0, takes the ``count`` best.
    """
    everything = pool.ids
    return draw(best(pool, everything, parameters["fraction"], count, rng), count, rng)


def best(pool: Pool, candidates: Rows, fraction: float, count: int, rng: np.random.Generator) -> Rows:
    """The best ``fraction`` of the candidates that have a score, at least ``count`` of them."""
    similarity = pool.scalar("similarity")[candidates]
    scored = int(np.sum(~np.isnan(similarity)))
    return candidates[highest(similarity, max(count, round(fraction * scored)), rng)]


METHOD = Method(
    name="similarity-top",
    summary="the rows whose image and text are most similar",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets"
    " (CLIP score filtering), arXiv:2304.14108",
    needs=("similarity",),
    settings=({"fraction": 0.0}, {"fraction": 0.5}),
    select=select,
    large=True,
)
