"""Several filters one after another: no near-copies, fitting pairs, no hopeless answers."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from . import loss_band, near_duplicates, similarity_top
from .method import Method, Parameters, Rows, draw
from .pool import Pool

ALIKE = 20
"""Rows that must ask the same question for their losses to be compared among themselves."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among those that pass every filter.

    One of each group of near-copies (``bits``), first of all: copies that a similarity model was trained on
    look like the best pairs. Then the best ``fraction`` by similarity; then the rows whose loss lies between
    the quantiles ``low`` and ``high`` of the rows that ask the same, for how high a loss is depends on the
    question before it depends on the answer.
    """
    single = near_duplicates.keep(pool, pool.ids, parameters["bits"])
    fitting = np.sort(similarity_top.best(pool, single, parameters["fraction"], count, rng))
    kept = [loss_band.keep(pool, alike, parameters) for alike in by_question(pool, fitting)]
    return draw(np.sort(np.concatenate([*kept, fitting[:0]])), count, rng)


def by_question(pool: Pool, candidates: Rows) -> list[Rows]:
    """The candidates in groups that ask the same; those with a rare question are a group together."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row in candidates.tolist():
        groups[pool.rows[row].question].append(row)
    rare = [row for group in groups.values() if len(group) < ALIKE for row in group]
    common = [group for group in groups.values() if len(group) >= ALIKE]
    return [np.array(group, dtype=np.int64) for group in [*common, rare] if group]


METHOD = Method(
    name="combined",
    summary="near-duplicate removal, then the similarity filter, then a cut of the highest losses",
    citation="Gadre et al. 2023 (intersections of filters), arXiv:2304.14108; Zheng et al. 2023,"
    " Coverage-centric Coreset Selection for High Pruning Rates (cut the hardest rows first),"
    " arXiv:2210.15809",
    needs=("similarity", "loss", "content", "looks"),
    settings=(
        {"bits": 2.0, "fraction": 0.6, "low": 0.0, "high": 0.5},
        {"bits": 2.0, "fraction": 0.5, "low": 0.0, "high": 0.6},
    ),
    select=select,
)
