"""What a selection method is: a function from a pool to row ids, with its source and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pool import Need, Pool

Rows = NDArray[np.int64]
Parameters = Mapping[str, float]
Select = Callable[[Pool, int, np.random.Generator, Parameters], Rows]
"""``select(pool, count, rng, parameters)``: at most ``count`` distinct row ids out of ``pool.ids``."""
Rewrite = Callable[[Mapping[str, Any], np.random.Generator], dict[str, Any]]
"""``rewrite(record, rng)``: the record to hand in for a chosen row."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One published selection method."""

    name: str
    summary: str
    """What it does, in a sentence."""
    citation: str
    """Where it was published."""
    where: str = ""
    """The equation, algorithm or section of it that is followed."""
    differs: str = ""
    """What is not as published; "" if nothing is known to be."""
    needs: tuple[Need, ...]
    wants: tuple[str, ...] = ()
    """What it also looks at where the pool has it."""
    target: bool = False
    """Whether it looks at target data, itself or through the list it draws from: examples of what is scored, or
    texts like them."""
    settings: tuple[Parameters, ...]
    """Parameters to try, the preferred first; the others when every method was tried."""
    select: Select
    filters: bool = False
    """Whether it says itself how much it keeps; the others take as much as they are given."""
    large: bool = False
    """Whether it is carried out in minutes, in memory that does not matter, on a pool of ten million rows."""
    rewrite: Rewrite | None = None
    """Of a method that hands in records, not rows; only a task that takes records can be given those."""

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Everything of the pool that may decide what it selects."""
        return (*self.needs, *self.wants)


def draw(candidates: Rows, count: int, rng: np.random.Generator) -> Rows:
    """``count`` of the candidates, or all of them if there are fewer, all equally likely."""
    return rng.choice(candidates, size=min(count, len(candidates)), replace=False)


def kept(pool: Pool, mask: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Rows:
    """The rows where ``mask`` holds; random ones of them if these are more than ``count``."""
    rows = pool.ids[mask[pool.ids]]
    return rows if len(rows) <= count else draw(rows, count, rng)


def highest(values: NDArray[np.float64], count: int, rng: np.random.Generator) -> Rows:
    """The ``count`` rows with the highest values; ties in random order, undefined values never."""
    shuffled = rng.permutation(len(values))
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]  # NaN sorts last
    defined: Rows = order[~np.isnan(values[order])]
    return defined[:count]


def below(values: NDArray[np.float64], limits: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The values where ``limits`` is at most its own quantile ``share``; NaN elsewhere, and where it is undefined."""
    if np.all(np.isnan(limits)):
        return np.full(len(values), np.nan)
    return np.where(limits <= np.nanquantile(limits, share), values, np.nan)
