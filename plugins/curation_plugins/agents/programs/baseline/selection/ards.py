"""Random rows of the list that ARDS's authors released."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows
from .pool import Pool
from .released import drawn


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among the listed ones."""
    return drawn("ards", pool, count, rng, parameters)


METHOD = Method(
    name="ards",
    summary="random rows of the authors' list of about 200,000 rows",
    citation="ARDS: the released list of about 200,000 rows of LLaVA-665K, github.com/chengwang96/ARDS",
    where="the released selection; the method itself: rows like those of the worst subgroups of a validation set",
    differs="a random part of the released list, not the method run at this budget",
    needs=("ards",),
    target=True,
    settings=({},),
    select=select,
)
