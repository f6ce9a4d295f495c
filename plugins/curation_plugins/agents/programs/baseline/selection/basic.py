"""DataComp's basic filter: English captions of some length, pictures that are neither small nor narrow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .english import english
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Everything at once: language, caption and picture."""
    mask = english(pool, "language") & long_enough(pool, parameters) & well_shaped(pool, parameters)
    return kept(pool, mask, count, rng)


def long_enough(pool: Pool, parameters: Parameters) -> NDArray[np.bool_]:
    """Captions of more than ``words`` words between white space, and more than ``characters`` characters."""
    words, characters = parameters["words"], parameters["characters"]
    return pool.pairs.mask(
        lambda texts: np.array(
            [len(text.split()) > words and len(text) > characters for text in texts], dtype=np.bool_
        )
    )


def well_shaped(pool: Pool, parameters: Parameters) -> NDArray[np.bool_]:
    """Pictures whose shorter side has at least ``side`` pixels, and whose longer is at most ``aspect`` times as long.

    Where half the pool is smaller than that, as in pools that are made for tests, the pool's median is the limit.
    """
    width, height = pool.scalar("width"), pool.scalar("height")
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    side = min(parameters["side"], float(np.nanmedian(shorter)) if np.any(~np.isnan(shorter)) else np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        mask: NDArray[np.bool_] = (shorter >= side) & (longer / shorter <= parameters["aspect"])
    return mask


METHOD = Method(
    name="basic",
    summary="English captions of more than two words, pictures of at least 200 pixels and at most 3:1",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: basic filtering",
    differs="where no table of labels is brought, a rule of our own stands in for fastText"
    "; in a pool of smaller pictures the median side is the limit",
    needs=("pairs", "text", "size"),
    wants=("language",),
    settings=({"words": 2.0, "characters": 5.0, "side": 200.0, "aspect": 3.0},),
    select=select,
    filters=True,
    large=True,
)
