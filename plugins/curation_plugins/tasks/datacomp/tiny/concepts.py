"""What an image of `datacomp-tiny` shows: a handwritten digit, a printed letter or word, or a shape; in a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation_plugins.tasks.handwritten import digit_images

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 45, 40),
    "green": (50, 190, 60),
    "blue": (60, 95, 240),
    "yellow": (235, 220, 50),
    "pink": (240, 110, 200),
    "white": (240, 240, 240),
}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = tuple("abdefghkmnqrstxy")
SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
WORDS = ("stop", "exit", "cafe", "bank", "taxi", "shop", "tea", "bus", "zoo", "milk", "ice", "key")
"""At most four letters: more would not be legible on 32 pixels."""

VALUES: dict[str, tuple[str, ...]] = {"digit": DIGITS, "letter": LETTERS, "shape": SHAPES, "word": WORDS}
"""Family to what can be shown."""

FAMILY_SHARES = (0.24, 0.28, 0.24, 0.24)
"""Of the pool, in the order of VALUES."""


@dataclass(frozen=True)
class Concept:
    """What an image shows; what can truly be said of it follows from this alone."""

    family: str
    value: str
    colour: str
    scan: int = -1
    """Of a digit: which of scikit-learn's scans."""


def digit_shares(seed: int) -> dict[str, NDArray[np.int64]]:
    """Splits the 1,797 scans into disjoint index sets: for the pool, the evaluation sets and the scoring models."""
    order = np.random.default_rng([seed, 81]).permutation(len(digit_images()[1]))
    return {"pool": order[:700], "evaluation": order[700:1300], "scoring": order[1300:]}


def random_concept(rng: np.random.Generator, scans: NDArray[np.int64], family: str | None = None) -> Concept:
    """A concept of `family`, or of any family by FAMILY_SHARES; a digit's scan is among `scans`."""
    if family is None:
        family = list(VALUES)[int(rng.choice(len(FAMILY_SHARES), p=FAMILY_SHARES))]
    colour = pick(rng, tuple(COLOURS))
    if family == "digit":
        scan = int(scans[int(rng.integers(len(scans)))])
        return Concept("digit", DIGITS[int(digit_images()[1][scan])], colour, scan)
    return Concept(family, pick(rng, VALUES[family]), colour)


def pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    """One of them, each as likely."""
    return choices[int(rng.integers(len(choices)))]
