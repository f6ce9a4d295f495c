"""The zero-shot sets of `datacomp-tiny`: scans and fonts that no image of the pool shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation_plugins.tasks.datacomp.tiny.captions import caption
from curation_plugins.tasks.datacomp.tiny.concepts import (
    COLOURS,
    DIGITS,
    LETTERS,
    SHAPES,
    WORDS,
    Concept,
    digit_shares,
    random_concept,
)
from curation_plugins.tasks.datacomp.tiny.drawing import HELD_OUT_FONTS, Look, draw, jpeg

PLAIN = Look(fonts=HELD_OUT_FONTS)
SHIFTED = Look(fonts=HELD_OUT_FONTS, ground=(70, 130), tilt=14, noise=16)
"""Brighter ground, more noise and more tilt than anything in the pool."""

COLOURED_SHAPES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


@dataclass(frozen=True)
class ClassifiedSet:
    """One set: what is shown, and how its classes are put into words."""

    key: str
    family: str
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    """With `{c}` for the class's name, as in DataComp's sets."""
    label: Callable[[Concept], str]
    look: Look = PLAIN


def _value(concept: Concept) -> str:
    return concept.value


def _coloured(concept: Concept) -> str:
    return f"{concept.colour} {concept.value}"


_DIGIT_TEMPLATES = ("a photo of the digit {c}.", "the number {c} written by hand.", "handwritten {c}.")

CLASSIFIED = (
    ClassifiedSet("tiny/digits", "digit", DIGITS, _DIGIT_TEMPLATES, _value),
    ClassifiedSet("tiny/digits-shifted", "digit", DIGITS, _DIGIT_TEMPLATES, _value, SHIFTED),
    ClassifiedSet("tiny/letters", "letter", LETTERS, ("a photo of the letter {c}.", "a capital {c}."), _value),
    ClassifiedSet(
        "tiny/shapes", "shape", COLOURED_SHAPES, ("a photo of a {c}.", "there is a {c} in this picture."), _coloured
    ),
    ClassifiedSet("tiny/words", "word", WORDS, ("a photo of a sign that says {c}.", "the word {c}."), _value),
)

RETRIEVAL = "tiny/captioned"
"""Key of the retrieval set: every image has a caption of its own that fits no other."""
DISTINCT = 200
"""Images of the retrieval set: of the 264 things that there are to show in a colour."""


@dataclass(frozen=True)
class Item:
    """One image of a set."""

    image: bytes
    """JPEG."""
    label: int = -1
    texts: tuple[str, ...] = ()


def classified_items(entry: ClassifiedSet, count: int, seed: int) -> list[Item]:
    """Classes as evenly as they go."""
    rng = np.random.default_rng([seed, 101, [each.key for each in CLASSIFIED].index(entry.key)])
    scans = _scans(entry, seed)
    items: list[Item] = []
    while len(items) < count:
        concept = random_concept(rng, scans, entry.family)
        label = entry.classes.index(entry.label(concept))
        if sum(item.label == label for item in items) <= count // len(entry.classes):
            items.append(Item(jpeg(draw(concept, entry.look, rng)), label))
    return items


def retrieval_items(count: int, seed: int) -> list[Item]:
    """At most DISTINCT images that differ in value or colour, each with two captions."""
    rng = np.random.default_rng([seed, 102])
    scans = digit_shares(seed)["evaluation"]
    items: list[Item] = []
    seen: set[tuple[str, str, str]] = set()
    while len(items) < min(count, DISTINCT):
        concept = random_concept(rng, scans)
        if (key := (concept.family, concept.value, concept.colour)) in seen:
            continue
        seen.add(key)
        texts: set[str] = set()
        while len(texts) < 2:
            text = caption(concept, "en", "terse" if texts else "sentence", rng)
            if concept.colour in text:
                texts.add(text)
        items.append(Item(jpeg(draw(concept, PLAIN, rng)), texts=tuple(sorted(texts))))
    return items


def _scans(entry: ClassifiedSet, seed: int) -> NDArray[np.int64]:
    """Each of the two sets of digits has its own half of the scans."""
    scans = digit_shares(seed)["evaluation"]
    return scans[::2] if entry.look is PLAIN else scans[1::2]
