"""Known selections that a run is compared with; measured by ``harness references TASK``.

| name | rows |
|---|---|
| ``base`` | none: the base model, untrained |
| ``random`` | ``rows_max`` rows, uniform; selection and training seed vary together |
| ``random-fixed`` | one random selection; only the training seed varies, which measures the noise floor |
| ``source-balanced`` | ``rows_max`` rows, as evenly over the sources as they allow |
| ``full`` | the whole pool |
| ``clean-only`` / ``noisy-only`` | random among good / bad rows by planted truth, where a task has it |
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

FIXED_SEED = 20_260_601
"""Selection seed of ``random-fixed``."""


def rows(
    name: str,
    seed: int,
    *,
    pool_rows: int,
    rows_max: int,
    sources: Sequence[str] | None,
    truth: Sequence[bool] | None,
    excluded: Collection[int] = (),
) -> Sequence[int] | None:
    """Rows of one reference selection, ascending; None for ``base``. None of the ``excluded`` is among them.

    Raises:
        KeyError: no such reference, or the task lacks what it needs (sources, truth).
    """
    left_out = frozenset(excluded)
    everything = [row for row in range(pool_rows) if row not in left_out]
    if name == "base":
        return None
    if name == "full":
        return everything
    if name == "random":
        return _draw(everything, rows_max, seed)
    if name == "random-fixed":
        return _draw(everything, rows_max, FIXED_SEED)
    if name == "source-balanced" and sources is not None:
        return _balanced(everything, sources, rows_max, seed)
    if name in ("clean-only", "noisy-only") and truth is not None:
        wanted = name == "clean-only"
        return _draw([row for row in everything if truth[row] is wanted], rows_max, seed)
    raise KeyError(name)


def _draw(candidates: Sequence[int], count: int, seed: int) -> list[int]:
    chosen = random.Random(seed).sample(candidates, min(count, len(candidates)))
    return sorted(chosen)


def _balanced(candidates: Sequence[int], sources: Sequence[str], count: int, seed: int) -> list[int]:
    """Fill sources in turn, the smallest first, so that what a small one cannot give goes to the others."""
    by_source: dict[str, list[int]] = {}
    for row in candidates:
        by_source.setdefault(sources[row], []).append(row)
    chosen: list[int] = []
    groups = sorted(by_source.items(), key=lambda item: (len(item[1]), item[0]))
    for place, (_, members) in enumerate(groups):
        share = (count - len(chosen)) // (len(groups) - place)
        chosen += _draw(members, share, seed)
    return sorted(chosen)
