"""Nearest neighbours of pool rows in the embeddings that ship with the pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from curation_plugins.tasks import hardware
from curation_plugins.tasks.llava import layout

COUNT = 10
"""Neighbours a row."""
AT_ONCE = 64
"""Rows compared with the whole pool at a time."""


class Neighbours:
    """Keeps the pool's vectors loaded, each of length 1."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._vectors = torch.zeros(0)

    def of(self, assets: Path, rows: Sequence[int]) -> list[tuple[float, ...]]:
        """For each row the ids of its nearest other rows of the whole pool, then their cosines: 2 * COUNT numbers.

        Raises:
            FileNotFoundError: the pool ships no embeddings (the task says so before any job is made).
        """
        self._load(assets)
        vectors = self._vectors.to(hardware.device())
        count = min(COUNT, len(self._vectors) - 1)
        out: list[tuple[float, ...]] = []
        for start in range(0, len(rows), AT_ONCE):
            places = torch.tensor(rows[start : start + AT_ONCE], device=vectors.device)
            cosines = (vectors[places] @ vectors.T).float()
            cosines[torch.arange(len(places)), places] = -2.0
            values, ids = cosines.topk(count, dim=1)
            for near, cosine in zip(ids.tolist(), values.tolist(), strict=True):
                out.append((*(float(row) for row in near), *(round(value, 5) for value in cosine)))
        return out

    def _load(self, assets: Path) -> None:
        path = layout.pool_vectors(assets)
        if path is None:
            raise FileNotFoundError(f"no embeddings below {layout.pool(assets)}")
        if path == self._path:
            return
        vectors = torch.from_numpy(np.load(path, mmap_mode="r").astype(np.float32))
        unit = torch.nn.functional.normalize(torch.nan_to_num(vectors), dim=1)
        self._vectors = unit.half() if hardware.device().type == "cuda" else unit
        self._path = path
