"""The rows with the longest answers."""

from __future__ import annotations

import numpy as np

from .method import Method, Parameters, Rows, highest
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Most characters in all answers of the row."""
    return highest(pool.lengths, count, rng)


METHOD = Method(
    name="length-top",
    summary="the rows with the longest answers",
    citation="Zhao et al. 2024, Long Is More for Alignment: A Simple but Tough-to-Beat Baseline for"
    " Instruction Fine-Tuning, arXiv:2402.04833",
    where="section 2: the 1,000 instructions with the longest responses",
    differs="characters are counted, not tokens; all turns of a dialogue count",
    needs=("length",),
    settings=({},),
    select=select,
)
