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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # NumPy is loaded where rows are drawn, not where a plugin is imported
    import numpy as np

    Rows = np.ndarray

FIXED_SEED = 20_260_601
"""Selection seed of ``random-fixed``."""
LARGE: Final = 1_000_000
"""Candidates above which NumPy draws: Python's own draw would hold each as an object."""


def rows(
    name: str,
    seed: int,
    *,
    pool_rows: int,
    rows_max: int,
    sources: Sequence[str] | np.ndarray | None,
    truth: Sequence[bool] | np.ndarray | None,
    excluded: Collection[int] = (),
) -> Rows | None:
    """Rows of one reference selection as int64 array of shape (n,), ascending; None for ``base``. None of the
    ``excluded`` is among them.

    Raises:
        KeyError: no such reference, or the task lacks what it needs (sources, truth).
    """
    import numpy as np

    if name == "base":
        return None
    allowed = np.ones(pool_rows, bool)
    allowed[np.fromiter(excluded, np.int64, len(excluded))] = False
    everything = np.flatnonzero(allowed)
    if name == "full":
        return everything
    if name == "random":
        return _draw(everything, rows_max, seed)
    if name == "random-fixed":
        return _draw(everything, rows_max, FIXED_SEED)
    if name == "source-balanced" and sources is not None:
        return _balanced(everything, np.asarray(sources), rows_max, seed)
    if name in ("clean-only", "noisy-only") and truth is not None:
        wanted = np.asarray(truth, bool)[everything] == (name == "clean-only")
        return _draw(everything[wanted], rows_max, seed)
    raise KeyError(name)


def _draw(candidates: Rows, count: int, seed: int) -> Rows:
    import numpy as np

    count = min(count, len(candidates))
    if len(candidates) > LARGE:
        return np.sort(np.random.default_rng(seed).choice(candidates, count, replace=False, shuffle=False))
    return candidates[np.sort(np.array(random.Random(seed).sample(range(len(candidates)), count), np.int64))]


def _balanced(candidates: Rows, sources: np.ndarray, count: int, seed: int) -> Rows:
    """Fill sources in turn, the smallest first, so that what a small one cannot give goes to the others."""
    import numpy as np

    names, of_row = np.unique(sources[candidates], return_inverse=True)
    groups = sorted((candidates[of_row == place] for place in range(len(names))), key=len)
    chosen: list[Rows] = []
    for place, members in enumerate(groups):
        share = (count - sum(map(len, chosen))) // (len(groups) - place)
        chosen.append(_draw(members, share, seed))
    return np.sort(np.concatenate(chosen)) if chosen else candidates
