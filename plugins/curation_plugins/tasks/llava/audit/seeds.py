"""Finds, among many texts, the few that can share enough with one of the targets: exact, by prefix filtering.

Of n features, a text that shares m holds at least two of any n - m + 2. So only the n - m + 2 rarest features of
each target are looked up (the prefix filter of Chaudhuri, Ganti, Kaushik, A Primitive Operator for Similarity Joins
in Data Cleaning, ICDE 2006, asking for two in place of one). Nothing is estimated: the index is over the benchmarks'
few thousand texts, and the pool streams by, so a sketch such as MinHash would save no work.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
"""Features as numbers."""


class SeedIndex:
    """Targets by their rarest features.

    Args:
        features: the different codes of each target.
        share: share of a target's features that a text must hold to be of interest.
    """

    def __init__(self, features: Sequence[frozenset[int]], share: float) -> None:
        self._targets = len(features)
        spread = Counter(code for codes in features for code in codes)
        postings: dict[int, list[int]] = {}
        self._least = np.ones(max(1, self._targets), dtype=np.int64)
        for target, codes in enumerate(features):
            needed = math.ceil(share * len(codes))
            self._least[target] = min(2, max(1, needed))
            rarest = sorted(codes, key=lambda code: (spread[code], code))
            for code in rarest[: len(codes) - needed + int(self._least[target])]:
                postings.setdefault(code, []).append(target)
        self._codes = np.array(sorted(postings), dtype=np.int64)
        lists = [postings[code] for code in self._codes.tolist()]
        self._starts = np.cumsum([0, *(len(one) for one in lists)])
        self._postings = np.array([target for one in lists for target in one], dtype=np.int64)

    def candidates(self, codes: Codes, texts: Codes) -> list[tuple[int, int]]:
        """(text, target) pairs in order; no pair that shares enough is missing.

        Args:
            codes: features of all texts, one after another.
            texts: which text each belongs to; same shape.
        """
        if not len(self._codes) or not len(codes):
            return []
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        hit = self._codes[places] == codes
        once = np.unique(texts[hit] * len(self._codes) + places[hit])  # a feature counts once in a text
        text, place = once // len(self._codes), once % len(self._codes)
        counts = self._starts[place + 1] - self._starts[place]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        targets = self._postings[np.repeat(self._starts[place], counts) + within]
        pairs, hits = np.unique(np.repeat(text, counts) * self._targets + targets, return_counts=True)
        pairs = pairs[hits >= self._least[pairs % self._targets]]
        return [(pair // self._targets, pair % self._targets) for pair in pairs.tolist()]
