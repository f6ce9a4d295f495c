"""English captions with a word that names a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .english import english
from .method import Method, Parameters, Rows, kept
from .pool import Pool


def select(pool: Pool, count: int, rng: np.random.Generator, parameters: Parameters) -> Rows:
    """Captions of which a word between white space is on the list, whatever its case."""
    return kept(pool, english(pool, "language") & names_a_class(pool), count, rng)


def names_a_class(pool: Pool) -> NDArray[np.bool_]:
    """Captions with a word of ``class_words.txt``."""
    listed = frozenset(line.strip().lower() for line in pool.lines("class_words"))
    return pool.pairs.mask(
        lambda texts: np.array([not listed.isdisjoint(text.lower().split()) for text in texts], dtype=np.bool_)
    )


METHOD = Method(
    name="text-based",
    summary="English captions with a word that names a class",
    citation="Gadre et al. 2023, DataComp: In search of the next generation of multimodal datasets, arXiv:2304.14108",
    where="section 4.1 and table 25: text-based (ImageNet class names)",
    differs="a list of words stands for the WordNet synsets of ImageNet-21K; "
    + "where no table of labels is brought, a rule of our own stands in for fastText",
    needs=("pairs", "text", "class_words"),
    wants=("language",),
    target=True,
    settings=({},),
    select=select,
    filters=True,
    large=True,
)
