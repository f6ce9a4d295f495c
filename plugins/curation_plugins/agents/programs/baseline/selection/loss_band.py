"""Rows of middling difficulty: neither so easy that they teach nothing, nor so hard as noise is."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, draw
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows whose loss lies between the quantiles ``low`` and ``high``.

    The middle half (0.25, 0.75) is what the first paper found best. The preferred band lies lower, since a
    pool with many wrong answers has more noise on top.
    """
    return draw(keep(pool, pool.ids, parameters), count, rng)


def keep(pool: Pool, candidates: Rows, parameters: Parameters) -> Rows:
    """The candidates inside the band; its ends are quantiles among the candidates themselves."""
    loss = pool.scalar("loss")[candidates]
    if np.all(np.isnan(loss)):
        return candidates[:0]
    low, high = np.nanquantile(loss, [parameters["low"], parameters["high"]])
    inside: Rows = candidates[(loss >= low) & (loss <= high)]
    return inside


METHOD = Method(
    name="loss-band",
    summary="random rows with middling losses of the base model; the noisy top is cut",
    citation="Marion et al. 2023, When Less is More: Investigating Data Pruning for Pretraining"
    " LLMs at Scale (middle of the perplexities), arXiv:2309.04564; Paul et al. 2021,"
    " arXiv:2107.07075 (the highest scores are noise)",
    needs=("loss",),
    settings=({"low": 0.1, "high": 0.6}, {"low": 0.25, "high": 0.75}),
    select=select,
    large=True,
)
