"""Random rows of a list that a method's authors released, whose rows were found in the pool by their content."""

from __future__ import annotations

import numpy as np

from .method import Parameters, Rows, draw
from .pool import Need, Pool


def drawn(need: Need, pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among those that the list's column marks with a number above 0."""
    return draw(np.flatnonzero(pool.scalar(need) > 0), count, rng)
