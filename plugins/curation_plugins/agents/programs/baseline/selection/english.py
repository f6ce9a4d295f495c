"""Which captions are English: by labels that a user brings, else by a rule of our own.

DataComp asks fastText's lid.176 (gcld3 for LAION-2B's filter). Neither is part of the agents' image, so the rule
here stands in for them: the language, of those in ``word_lists``, whose words give a caption's three-letter runs the
highest probability; captions in other alphabets are not English. It is no copy of either, and a caption of names and
numbers ("Nikon D750 24-120mm") may be called anything by all three.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .pool import Pool
from .word_lists import WORDS

CLASSES = 32
"""Of letters: a blank or sign, a to z, and five groups of accented ones."""
_GROUPS = ("æøå", "äöüß", "àâçèéêëîïôùûœ", "áíóúñãõìò", "")
"""The last one is every other letter of the Latin script."""
_LATIN = 0x250
"""Code point up to which letters are Latin."""
_FOREIGN = 0x370
"""Code point from which letters are of another alphabet, but for signs."""
_SIGNS = ((0x2000, 0x2C00), (0xFE00, 0xFE70), (0xFFF0, 0x20000))
"""Code points of punctuation, symbols and pictographs."""
_SMOOTHING = 0.1
_MASS = 1000.0
"""What a language's counts are scaled to sum up to: lists of different lengths then weigh unseen runs alike."""
_SCALE = 256
"""Log-probabilities are whole multiples of 1/256, so that their sums are exact."""
_PRIOR = 1.5
"""Added to English's log-probability: about half of DataComp's captions are English, one in thirty is Portuguese."""


def english(pool: Pool, *labels: str) -> NDArray[np.bool_]:
    """Whether each row's caption is English, shape (rows,).

    Args:
        labels: columns with language codes, the preferred first; the rule where the pool has none of them.
    """
    for name in labels:
        column = pool.column(name)
        if column is not None:
            return np.asarray(column == "en")
    return pool.pairs.mask(is_english)


def is_english(texts: list[str]) -> NDArray[np.bool_]:
    """Whether each text is held to be English; one without a letter is not."""
    lowered = [text.lower() + "\n" for text in texts]
    codes = np.frombuffer("".join(lowered).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in lowered])[:-1]]).astype(np.int64)
    if not len(codes):
        return np.zeros(0, dtype=np.bool_)
    letters = _letter_classes()[np.minimum(codes, _LATIN)]
    scores = np.add.reduceat(_table()[_runs(letters)], starts, axis=0)
    latin = np.add.reduceat((letters > 0).astype(np.int64), starts)
    foreign = np.add.reduceat(_foreign(codes).astype(np.int64), starts)
    scores[:, 0] += int(_PRIOR * _SCALE)
    found: NDArray[np.bool_] = (np.argmax(scores, axis=1) == 0) & (latin > foreign)
    return found


def _runs(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The code of three letter classes around each place; 0 where the middle is no letter."""
    padded = np.concatenate([[0], letters.astype(np.int64), [0]])
    code = (padded[:-2] * CLASSES + padded[1:-1]) * CLASSES + padded[2:]
    return np.where(padded[1:-1] > 0, code, 0)


def _foreign(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    out = codes >= _FOREIGN
    for first, end in _SIGNS:
        out &= (codes < first) | (codes >= end)
    return out


@cache
def _letter_classes() -> NDArray[np.uint8]:
    """Class of each Latin code point; 0 for signs, digits and, at the end, everything else."""
    classes = np.zeros(_LATIN + 1, dtype=np.uint8)
    for code in range(_LATIN):
        letter = chr(code)
        if "a" <= letter <= "z":
            classes[code] = code - ord("a") + 1
        elif letter.isalpha():
            group = next((place for place, group in enumerate(_GROUPS) if letter in group), len(_GROUPS) - 1)
            classes[code] = 27 + group
    return classes


@cache
def _table() -> NDArray[np.int64]:
    """Scaled log-probability of each run in each language, English first, shape (runs, languages)."""
    names = ["en", *sorted(WORDS.keys() - {"en"})]
    table = np.zeros((CLASSES**3, len(names)), dtype=np.int64)
    for place, name in enumerate(names):
        text = " ".join(WORDS[name].split()) + " "
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        runs = _runs(_letter_classes()[np.minimum(codes, _LATIN)])
        counts = np.bincount(runs[runs > 0], minlength=CLASSES**3).astype(np.float64)
        shares = counts * (_MASS / counts.sum()) + _SMOOTHING
        table[:, place] = np.round(np.log(shares) * _SCALE)
    table[0] = 0
    return table
