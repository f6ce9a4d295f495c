"""Which rows share a batch."""

from __future__ import annotations

import numpy as np
import pytest

from curation_plugins.tasks.llava.batching import batches


@pytest.mark.parametrize("grouped", [True, False])
def test_every_row_is_used_once_before_any_is_used_twice(grouped: bool) -> None:
    plan = list(batches([5] * 60, 4, 15, seed=3, grouped=grouped))
    assert [len(part) for part in plan] == [4] * 15
    assert sorted(np.concatenate(plan).tolist()) == list(range(60))


def test_fewer_rows_than_a_batch_are_repeated() -> None:
    (only,) = batches([3, 4, 5], 6, 1, seed=0, grouped=True)
    assert sorted(only.tolist()) == [0, 0, 1, 1, 2, 2]


def test_grouping_saves_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, size=640).tolist()

    def padded(grouped: bool) -> int:
        plan = batches(lengths, 16, 40, seed=1, grouped=grouped)
        return sum(max(lengths[i] for i in part) * len(part) for part in plan)

    assert padded(True) < 0.75 * padded(False)


def test_the_plan_follows_from_the_seed() -> None:
    def plan(seed: int) -> list[list[int]]:
        return [part.tolist() for part in batches(list(range(50)), 8, 10, seed, grouped=True)]

    assert plan(1) == plan(1)
    assert plan(1) != plan(2)
