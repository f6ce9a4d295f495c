"""What is drawn on the 32x32 canvas: composed scenes, rendered words, real handwritten digits.

Everything is a pure function of a numpy generator, and text uses Pillow's built-in bitmap font, so
that the same seed gives the same pixels on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from curation_plugins.tasks.handwritten import digit_images

Pixels = NDArray[np.uint8]
"""An RGB image, shape (32, 32, 3)."""

CANVAS = 32
"""Side of every image, in pixels."""

NOISE = 9.0
"""Standard deviation of the pixel noise, in grey levels of 255."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 80, 230),
    "yellow": (230, 215, 50),
    "pink": (235, 110, 190),
    "white": (240, 240, 240),
}
SHAPES = ("circle", "square", "triangle", "cross")
POSITIONS = ("top left", "top right", "bottom left", "bottom right")
WORDS = (
    "stop", "exit", "open", "cafe", "bank", "taxi", "park", "hotel", "road", "shop", "gate", "fire",
    "tea", "bus", "zoo", "gym", "fish", "milk", "book", "farm",
)  # fmt: skip
"""At most five letters: six pixels each fit the canvas."""


@dataclass(frozen=True)
class Thing:
    """One coloured shape in one quadrant."""

    position: str
    colour: str
    shape: str


@dataclass(frozen=True)
class Scene:
    """What an image shows; the answers to all questions about it follow from this.

    Exactly one of the three is set: `things` (1 to 4, in the order of POSITIONS), `word`, or `digit`
    (an index into scikit-learn's digits) with its label `value`.
    """

    things: tuple[Thing, ...] = ()
    word: str = ""
    digit: int = -1
    value: int = -1

    @property
    def family(self) -> str:
        """`shapes`, `sign` or `digit`."""
        if self.things:
            return "shapes"
        return "sign" if self.word else "digit"

    def suits(self, benchmark: str) -> bool:
        """Whether a question of this benchmark's family can be asked about it."""
        return {"digits": "digit", "signs": "sign"}.get(benchmark, "shapes") == self.family


def digit_shares(seed: int) -> dict[str, NDArray[np.int64]]:
    """Splits the digits into disjoint index sets: for the base model, the pool and the benchmarks."""
    labels = digit_images()[1]
    order = np.random.default_rng([seed, 71]).permutation(len(labels))
    return {"base": order[:650], "pool": order[650:1200], "benchmarks": order[1200:]}


def random_things(rng: np.random.Generator) -> Scene:
    """One to four coloured shapes in distinct quadrants."""
    count = int(rng.integers(1, 5))
    places = sorted(rng.choice(4, size=count, replace=False).tolist())
    colours = list(COLOURS)
    return Scene(
        things=tuple(
            Thing(
                POSITIONS[place],
                colours[int(rng.integers(len(colours)))],
                SHAPES[int(rng.integers(len(SHAPES)))],
            )
            for place in places
        )
    )


def random_sign(rng: np.random.Generator) -> Scene:
    """A word on a plate."""
    return Scene(word=WORDS[int(rng.integers(len(WORDS)))])


def random_digit(rng: np.random.Generator, indices: NDArray[np.int64]) -> Scene:
    """One of the real digits whose indices are given."""
    index = int(indices[int(rng.integers(len(indices)))])
    return Scene(digit=index, value=int(digit_images()[1][index]))


def random_scene(rng: np.random.Generator, digits: NDArray[np.int64]) -> Scene:
    """Mostly composed shapes, which take longest to learn; signs and digits."""
    kind = rng.random()
    if kind < 0.7:
        return random_things(rng)
    return random_sign(rng) if kind < 0.85 else random_digit(rng, digits)


def draw(scene: Scene, rng: np.random.Generator) -> Pixels:
    """A scene with jitter in place, size and shade, and pixel noise; shape (32, 32, 3)."""
    return speckle(render(scene, rng), rng)


def render(scene: Scene, rng: np.random.Generator) -> Pixels:
    """A scene with jitter, before noise."""
    shade = int(rng.integers(15, 60))
    image = Image.new("RGB", (CANVAS, CANVAS), (shade, shade, shade))
    if scene.things:
        _draw_things(image, scene.things, rng)
    elif scene.word:
        _draw_word(image, scene.word, rng)
    else:
        _draw_digit(image, scene.digit, rng)
    return np.asarray(image)


def speckle(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Adds normal noise of `NOISE` grey levels to every channel."""
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * NOISE
    noisy = pixels.astype(np.float32) + noise
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _draw_things(image: Image.Image, things: tuple[Thing, ...], rng: np.random.Generator) -> None:
    pen = ImageDraw.Draw(image)
    for thing in things:
        place = POSITIONS.index(thing.position)
        radius = int(rng.integers(4, 7))
        x = (place % 2) * 16 + 8 + int(rng.integers(-1, 2))
        y = (place // 2) * 16 + 8 + int(rng.integers(-1, 2))
        rgb = tuple(int(v * rng.uniform(0.85, 1.0)) for v in COLOURS[thing.colour])
        box = (x - radius, y - radius, x + radius - 1, y + radius - 1)
        if thing.shape == "circle":
            pen.ellipse(box, fill=rgb)
        elif thing.shape == "square":
            pen.rectangle(box, fill=rgb)
        elif thing.shape == "triangle":
            pen.polygon(
                [(x, y - radius), (x - radius, y + radius - 1), (x + radius, y + radius - 1)],
                fill=rgb,
            )
        else:
            pen.rectangle((x - radius, y - 1, x + radius - 1, y + 1), fill=rgb)
            pen.rectangle((x - 1, y - radius, x + 1, y + radius - 1), fill=rgb)


def _draw_word(image: Image.Image, word: str, rng: np.random.Generator) -> None:
    plate = tuple(int(v) for v in rng.integers(150, 230, size=3))
    top = int(rng.integers(5, 13))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, top - 2, CANVAS - 1, top + 12), fill=plate)
    free = CANVAS - 6 * len(word)
    left = max(0, free // 2 + int(rng.integers(-1, 2)))
    ink = int(rng.integers(0, 50))
    pen.text((left, top), word, fill=(ink, ink, ink), font=_bitmap_font())


def _draw_digit(image: Image.Image, index: int, rng: np.random.Generator) -> None:
    side = int(rng.integers(24, 31))
    small = Image.fromarray(digit_images()[0][index])
    grown = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)
    left, top = (int(v) for v in rng.integers(0, CANVAS - side + 1, size=2))
    canvas = np.asarray(image).astype(np.float32)
    patch = canvas[top : top + side, left : left + side]
    tint = rng.uniform(0.8, 1.0, size=3).astype(np.float32)
    np.maximum(patch, grown[:, :, None] * tint, out=patch)
    image.paste(Image.fromarray(canvas.astype(np.uint8)))


@lru_cache(maxsize=1)
def _bitmap_font() -> ImageFont.ImageFont:
    return ImageFont.load_default_imagefont()
