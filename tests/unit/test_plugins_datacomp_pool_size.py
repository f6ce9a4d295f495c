"""Memory of indexing and of opening a pool grows with 16-byte uids and offsets, not with captions or files."""

from __future__ import annotations

from pathlib import Path

import pytest

from large_pools import cost, write_large

SIZES = (100_000, 500_000)
BYTES_A_ROW = {"index": 65, "open": 90}
"""At most. Of 12.8 million rows it is about 60 (`tests/benchmarks/pool_index.py`); of few, buffers weigh more."""


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    made = {}
    for rows in SIZES:
        made[rows] = tmp_path_factory.mktemp("pool")
        write_large(made[rows] / "pool" / "metadata", rows)
    return made


def test_memory_grows_by_a_few_bytes_a_row(pools: dict[int, Path]) -> None:
    small, large = SIZES
    for work, most in BYTES_A_ROW.items():
        peaks = {rows: cost(work, pools[rows], rows)["peak"] for rows in SIZES}
        assert (peaks[large] - peaks[small]) / (large - small) <= most, (work, peaks)
