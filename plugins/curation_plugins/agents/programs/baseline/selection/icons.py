"""Random rows of the list that ICONS's authors released."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows
from .pool import Pool
from .released import drawn


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among the listed ones."""
    return drawn("icons", pool, count, rng, parameters)


METHOD = Method(
    name="icons",
    summary="random rows of the authors' list of about 133,000 rows",
    citation="Wu et al. 2024, ICONS: Influence Consensus for Vision-Language Data Selection, arXiv:2501.00654",
    where="the released selection; the method itself: votes of tasks over influence scores",
    differs="a random part of the released list, not the method run at this budget",
    needs=("icons",),
    target=True,
    settings=({},),
    select=select,
)
