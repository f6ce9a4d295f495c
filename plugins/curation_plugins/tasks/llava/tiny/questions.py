"""Questions about scenes: what the benchmarks ask, what the pool asks, and what the base model was raised on.

The base model never sees a wording of the pool or of the benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from curation_plugins.tasks.llava.tiny.scenes import COLOURS, POSITIONS, SHAPES, WORDS, Scene

Choice = TypeVar("Choice")

BENCHMARKS = ("digits", "signs", "lookup", "counting", "existence")
"""One question family each."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "digits": tuple(str(n) for n in range(10)),
    "signs": WORDS,
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "counting": ("1", "2", "3", "4"),
    "existence": ("yes", "no"),
}

_WORDINGS: dict[str, tuple[str, ...]] = {
    "digits": ("Which digit is this?", "What number has been written here?", "Read the digit."),
    "signs": ("What does the sign say?", "Which word is on the sign?", "Read the sign."),
    "colour": (
        "What colour is the shape at the {position}?",
        "Which colour do you see at the {position}?",
        "Tell me the colour of the shape at the {position}.",
    ),
    "shape": (
        "What shape is at the {position}?",
        "Which shape do you see at the {position}?",
        "Tell me the kind of shape at the {position}.",
    ),
    "counting": (
        "How many shapes are there?",
        "How many shapes do you see?",
        "What is the number of shapes?",
    ),
    "existence": (
        "Is there a {colour} {shape}?",
        "Do you see a {colour} {shape}?",
        "Does the picture show a {colour} {shape}?",
    ),
}


@dataclass(frozen=True)
class Query:
    """What is asked, apart from its wording."""

    benchmark: str
    kind: str
    """`digits`, `signs`, `colour`, `shape`, `counting` or `existence`."""
    position: str = ""
    """Asked about by `colour` and `shape`."""
    colour: str = ""
    """Looked for by `existence`, with `shape`."""
    shape: str = ""

    def question(self, rng: np.random.Generator) -> str:
        """A wording, all equally likely."""
        return pick(rng, _WORDINGS[self.kind]).format(position=self.position, colour=self.colour, shape=self.shape)

    def answer(self, scene: Scene) -> str | None:
        """The true answer for a scene; none if the question does not apply to it."""
        if not scene.suits(self.benchmark):
            return None
        if self.kind == "digits":
            return str(scene.value)
        if self.kind == "signs":
            return scene.word
        if self.kind == "counting":
            return str(len(scene.things))
        if self.kind == "existence":
            there = any((t.colour, t.shape) == (self.colour, self.shape) for t in scene.things)
            return "yes" if there else "no"
        for thing in scene.things:
            if thing.position == self.position:
                return thing.colour if self.kind == "colour" else thing.shape
        return None

    def choices(self) -> tuple[str, ...]:
        """Every answer that fits the question."""
        return _CHOICES[self.kind]

    def wrong(self, answer: str, rng: np.random.Generator) -> str:
        """Another answer that fits the question."""
        return pick(rng, [choice for choice in self.choices() if choice != answer])


def pick(rng: np.random.Generator, options: Sequence[Choice]) -> Choice:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def ask(benchmark: str, scene: Scene, rng: np.random.Generator) -> Query:
    """A question of a benchmark's family that applies to a scene."""
    if benchmark == "lookup":
        thing = scene.things[int(rng.integers(len(scene.things)))]
        return Query(benchmark, pick(rng, ("colour", "shape")), position=thing.position)
    if benchmark == "existence":
        colour, shape, _ = probe(scene, rng)
        return Query(benchmark, benchmark, colour=colour, shape=shape)
    return Query(benchmark, benchmark)


def probe(scene: Scene, rng: np.random.Generator) -> tuple[str, str, bool]:
    """A colour and a shape to look for, present in half of the cases."""
    present = {(thing.colour, thing.shape) for thing in scene.things}
    if rng.random() < 0.5:
        thing = scene.things[int(rng.integers(len(scene.things)))]
        return thing.colour, thing.shape, True
    while True:
        colour, shape = pick(rng, tuple(COLOURS)), pick(rng, SHAPES)
        if (colour, shape) not in present:
            return colour, shape, False


def describe(scene: Scene) -> str:
    """The whole content of a scene as one sentence."""
    if scene.word:
        return f"a sign with the word {scene.word}"
    if scene.digit >= 0:
        return f"a handwritten {scene.value}"
    return ", ".join(f"{t.colour} {t.shape} {t.position}" for t in scene.things)


def raise_base(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """A (prompt, answer) pair of the base model's own upbringing, about the same kinds of image."""
    if not scene.things:
        if rng.random() < 0.2:
            return "Describe the image.", describe(scene)
        if scene.word:
            return "Name the word.", scene.word
        return "Name the digit.", str(scene.value)
    kind = rng.random()
    if kind < 0.17:
        return "Describe the image.", describe(scene)
    if kind < 0.4:
        colour = pick(rng, tuple(COLOURS))
        places = [t.position for t in scene.things if t.colour == colour]
        return f"Find {colour}.", " and ".join(places) or "nowhere"
    if kind < 0.62:
        return _at_place(scene, rng)
    if kind < 0.70:
        return "Count the shapes.", str(len(scene.things))
    colour, shape, there = probe(scene, rng)
    return f"Any {colour} {shape}?", "yes" if there else "no"


def _at_place(scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
    place = pick(rng, POSITIONS)
    found = [t for t in scene.things if t.position == place]
    kind = rng.random()
    if kind < 0.3:
        return f"Name the colour at the {place}.", found[0].colour if found else "nothing"
    if kind < 0.6:
        return f"Name the shape at the {place}.", found[0].shape if found else "nothing"
    return f"Name the thing at the {place}.", f"{found[0].colour} {found[0].shape}" if found else "nothing"
