"""One row out of every group of near-copies, then random rows among those that are left."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from .method import Method, Parameters, Rows, draw
from .pictures import hashes
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Random rows among one representative of every group."""
    return draw(keep(pool, pool.ids, parameters["bits"]), count, rng)


def keep(pool: Pool, candidates: Rows, bits: float) -> Rows:
    """The candidates without near-copies of an earlier candidate.

    A near-copy has the same words, and an image whose hash differs in at most ``bits`` bits. (The
    first paper compares embeddings within clusters; here the words make the clusters, and the hash
    stands for the embedding.)
    """
    same_words: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for row in candidates.tolist():
        content = pool.rows[row]
        same_words[content.text, content.image is not None].append(row)
    signs = np.where(hashes(pool), 1.0, -1.0).astype(np.float32)
    kept = [row for group in same_words.values() for row in _leaders(group, signs, bits)]
    return np.sort(np.array(kept, dtype=np.int64))


def _leaders(group: list[int], signs: NDArray[np.float32], bits: float) -> list[int]:
    """Rows of a group that are farther than ``bits`` from every row kept before them."""
    left = np.array(group, dtype=np.int64)
    kept: list[int] = []
    while len(left):
        first = left[0]
        kept.append(int(first))
        differing = (signs.shape[1] - signs[left] @ signs[first]) / 2
        left = left[differing > bits]
    return kept


METHOD = Method(
    name="near-duplicates",
    summary="random rows after all but one of each group of near-copies were removed",
    citation="Abbas et al. 2023, SemDeDup: Data-efficient learning at web-scale through semantic"
    " deduplication, arXiv:2303.09540; Lee et al. 2022, Deduplicating Training Data Makes Language"
    " Models Better, arXiv:2107.06499",
    needs=("content", "looks"),
    settings=({"bits": 2.0}, {"bits": 4.0}),
    select=select,
)
