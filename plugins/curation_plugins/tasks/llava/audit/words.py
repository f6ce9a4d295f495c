"""Text as the audit compares it: word stems in order, without marks, case and sentence signs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_IMAGE = re.compile(r"<image(?:\s*\d+)?>", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_ENDINGS = ("ingly", "edly", "ing", "ies", "ed", "es", "ly", "s")
_SHORTEST = 3
"""Letters that a stem keeps at least."""

_FUNCTION = """
a about above after all also am an and any are as at be been before being below best between both but by can
could did do does done down during each either else every few for from given had has have having he her here
him his how i if in into is it its just let many may me might more most much must my neither no nor not now of
off on once one only or other our out over own per please same she should so some such than that the their
them then there these they this those through to too two under until up upon us very was we were what when
where whether which while who whom whose why will with within without would yes yet you your s t
"""
_ASKING = """
answer answers answered choice choices choose chosen correct correctly describe described describing describes
description directly figure figures follow following follows image images letter letters option options photo
photos photograph picture pictures pictured question questions see seen select selected show showing shown
shows tell visible look looks looking using use used word words phrase single short brief briefly detail
details detailed hint name write give depict depicted display displayed find color colour colors colours kind
kinds type types number many man woman person people doing thing things object objects
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
ASKING_WORDS = frozenset(_ASKING.split())
"""Words of asking, and the few things that half of all questions about pictures are about: they tell no question
from another. Our own list."""


_UNSEEN = frozenset({"Mn", "Me", "Cf"})
"""Unicode categories of accents, strokes through letters, and signs that nobody sees (zero-width, soft hyphens)."""


class _Seen(dict[int, int | None]):
    """What of a text is compared, for `str.translate`."""

    def __missing__(self, sign: int) -> int | None:
        self[sign] = None if unicodedata.category(chr(sign)) in _UNSEEN else sign
        return self[sign]


_SEEN = _Seen()


def words(text: str) -> list[str]:
    """Lower-case words and numbers in order; what stands for an image is left out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_SEEN)
    if "<" in text:
        text = _IMAGE.sub(" ", text)
    return _WORD.findall(text.lower())


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """A word without its commonest endings; crude, but the same on both sides of a comparison."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if word.endswith("e") and len(word) > _SHORTEST else word


def stems(text: str) -> tuple[str, ...]:
    """Stem of each word, in order."""
    return tuple(stem(word) for word in words(text))


_EMPTY = frozenset(stem(word) for word in FUNCTION_WORDS | ASKING_WORDS)


def content(text: str) -> frozenset[str]:
    """The different stems that say what a text is about; single letters, too, say nothing."""
    return frozenset(one for one in stems(text) if one not in _EMPTY and (len(one) > 1 or one.isdigit()))


def holds(text: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    """Whether the stems of a phrase stand in a text one after another."""
    return bool(phrase) and f" {' '.join(phrase)} " in f" {' '.join(text)} "
