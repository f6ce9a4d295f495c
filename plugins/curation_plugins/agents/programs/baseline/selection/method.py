"""What a selection method is: a function from a pool to row ids, with its source and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pool import Need, Pool

Rows = NDArray[np.int64]
Parameters = Mapping[str, float]
Select = Callable[[Pool, int, np.random.Generator, Parameters], Rows]
"""``select(pool, count, rng, parameters)``: at most ``count`` distinct row ids."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One published selection method."""

    name: str
    summary: str
    """What it does, in a sentence."""
    citation: str
    """Where it was published."""
    needs: tuple[Need, ...]
    settings: tuple[Parameters, ...]
    """Parameters to try, the preferred first; the others when every method was tried."""
    select: Select


def draw(candidates: Rows, count: int, rng: np.random.Generator) -> Rows:
    """``count`` of the candidates, or all of them if there are fewer, all equally likely."""
    return rng.choice(candidates, size=min(count, len(candidates)), replace=False)


def highest(values: NDArray[np.float64], count: int, rng: np.random.Generator) -> Rows:
    """The ``count`` rows with the highest values; ties in random order, undefined values never."""
    shuffled = rng.permutation(len(values))
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]  # NaN sorts last
    defined: Rows = order[~np.isnan(values[order])]
    return defined[:count]
