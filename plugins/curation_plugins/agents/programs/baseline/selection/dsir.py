"""Rows drawn in proportion to how much likelier their words are in target texts than in the pool."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .method import Method, Parameters, Rows, highest
from .pool import Pool
from .rows_file import words

BUCKETS = 10_000
"""That words and pairs of words are counted in, by hash."""
SMOOTHING = 1e-8
"""Added to each bucket's share."""


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """The highest log p_target/p_pool of a row's n-grams, plus Gumbel noise: sampling without replacement."""
    texts = [row.text for row in pool.rows]
    ratio = np.log(_shares(words(text) for text in pool.lines("target"))) - np.log(_shares(texts))
    score = np.full(pool.size, np.nan)
    for row in pool.ids.tolist():
        score[row] = ratio[buckets(texts[row])].sum()
    return highest(score + rng.gumbel(size=pool.size), count, rng)


def buckets(text: str) -> NDArray[np.int64]:
    """Bucket of each word and of each pair of neighbouring words."""
    single = text.split()
    pairs = [f"{one} {other}" for one, other in itertools.pairwise(single)]
    return np.array([zlib.crc32(gram.encode()) % BUCKETS for gram in (*single, *pairs)], dtype=np.int64)


def _shares(texts: Iterable[str]) -> NDArray[np.float64]:
    counts = np.zeros(BUCKETS)
    for text in texts:
        counts += np.bincount(buckets(text), minlength=BUCKETS)
    shares: NDArray[np.float64] = counts / max(1.0, counts.sum()) + SMOOTHING
    return shares


METHOD = Method(
    name="dsir",
    summary="rows drawn by how much likelier their words are in target texts than in the pool",
    citation="Xie et al. 2023, Data Selection for Language Models via Importance Resampling (DSIR), arXiv:2302.03169",
    where="section 3: hashed n-gram features, importance weights, Gumbel top-k",
    differs="short texts are not left out; dialogues, not web pages",
    needs=("content", "target"),
    target=True,
    settings=({},),
    select=select,
)
