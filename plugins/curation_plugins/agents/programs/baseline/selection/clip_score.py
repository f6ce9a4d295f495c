"""DataComp's rules over CLIP scores: a share of the pool by a threshold, and a threshold itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pool import Pool

Scores = NDArray[np.floating]


def scores(pool: Pool, which: str) -> Scores:
    """DataComp's scores ``clip_b32`` or ``clip_l14``, in the type they are published in, shape (rows,).

    Raises:
        LookupError: the pool has none.
    """
    column = pool.column(which)
    if column is None:
        raise LookupError(f"the pool has no column for {which!r}")
    return np.asarray(column)


def best(values: Scores, fraction: float) -> NDArray[np.bool_]:
    """Which values are in the best ``fraction``, by DataComp's rule (baselines/apply_filter.py, get_threshold).

    The threshold is the value that int(n * fraction) others stand before in falling order; all that reach it stay, so
    one more than that number, and every tie. Undefined values (NaN) stand last and are counted in n; where the
    threshold itself is one, nothing stays.
    """
    place = int(len(values) * fraction)
    if place >= len(values):  # DataComp's rule has no answer
        return ~np.isnan(values)
    return at_least(values, -np.sort(-values)[place])


def at_least(values: Scores, least: float | np.floating) -> NDArray[np.bool_]:
    """Which values are ``least`` or more, compared in the values' own type as DataComp's data frames do."""
    return np.asarray(values >= values.dtype.type(least))
