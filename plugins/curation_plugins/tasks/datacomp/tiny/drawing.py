"""Draws concepts on 32x32 pixels.

Text is set in the fonts that come with matplotlib, by Pillow's own FreeType: nothing depends on the machine's fonts.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from curation_plugins.tasks.datacomp.tiny.concepts import COLOURS, Concept
from curation_plugins.tasks.handwritten import digit_images

Pixels = NDArray[np.uint8]
"""An RGB image, shape (32, 32, 3)."""

CANVAS = 32
"""Side of every image, in pixels."""

QUALITY = 92
"""Of every JPEG."""

POOL_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSansMono", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "STIXGeneral", "STIXGeneralItalic",
    "STIXGeneralBolIta", "cmr10", "cmtt10", "cmti10",
)  # fmt: skip
HELD_OUT_FONTS = ("DejaVuSans-Oblique", "DejaVuSerif-Bold", "DejaVuSansMono-Bold", "STIXGeneralBol", "cmss10")
"""Only evaluation images are set in these."""


@dataclass(frozen=True)
class Look:
    """How concepts are drawn, besides what they are."""

    fonts: tuple[str, ...] = POOL_FONTS
    ground: tuple[float, float] = (8, 62)
    """Grey levels between which each channel of the ground lies."""
    tilt: float = 3.0
    """Largest rotation either way, degrees."""
    noise: float = 6.0
    """Standard deviation of the pixel noise, in grey levels of 255."""


def render(concept: Concept, look: Look, rng: np.random.Generator) -> Pixels:
    """A concept with jitter in place, size, tilt and shade, before noise."""
    mask = _mask(concept, look, rng)
    ink = np.array(COLOURS[concept.colour], dtype=np.float32) * rng.uniform(0.82, 1.0)
    ground = rng.uniform(*look.ground, size=3).astype(np.float32)
    share = (np.asarray(mask, dtype=np.float32) / 255)[:, :, None]
    return np.rint(ground * (1 - share) + ink * share).clip(0, 255).astype(np.uint8)


def speckle(pixels: Pixels, look: Look, rng: np.random.Generator) -> Pixels:
    """Adds the look's noise to every channel."""
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * look.noise
    return np.clip(np.rint(pixels.astype(np.float32) + noise), 0, 255).astype(np.uint8)


def draw(concept: Concept, look: Look, rng: np.random.Generator) -> Pixels:
    """A concept as it is trained on: jitter and noise."""
    return speckle(render(concept, look, rng), look, rng)


def jpeg(pixels: Pixels) -> bytes:
    """The one encoding that all images of pool and evaluation share; no chroma subsampling, no metadata."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _mask(concept: Concept, look: Look, rng: np.random.Generator) -> Image.Image:
    """How much of each pixel is figure, 0..255."""
    mask = Image.new("L", (CANVAS, CANVAS), 0)
    if concept.family == "digit":
        side = int(rng.integers(27, 32))
        grown = Image.fromarray(digit_images()[0][concept.scan]).resize((side, side), Image.Resampling.BILINEAR)
        left, top = rng.integers(0, CANVAS - side + 1, size=2).tolist()
        mask.paste(grown, (left, top))
    elif concept.family == "shape":
        _shape(ImageDraw.Draw(mask), concept.value, rng)
    else:
        _text(ImageDraw.Draw(mask), concept, look, rng)
    return mask.rotate(float(rng.uniform(-look.tilt, look.tilt)), Image.Resampling.BILINEAR)


def _text(pen: ImageDraw.ImageDraw, concept: Concept, look: Look, rng: np.random.Generator) -> None:
    """A letter fills the canvas; a word is as wide as it."""
    name = look.fonts[int(rng.integers(len(look.fonts)))]
    text = concept.value.upper() if concept.family == "letter" else concept.value
    size = int(rng.integers(25, 29)) if concept.family == "letter" else 16
    font = _font(name, size)
    while (box := pen.textbbox((0, 0), text, font=font))[2] - box[0] > CANVAS - 2:
        size -= 1
        font = _font(name, size)
    free = CANVAS - (box[2] - box[0]), CANVAS - (box[3] - box[1])
    shift = [float(np.clip(rng.integers(-1, 2), -f // 2, f // 2)) for f in free]
    pen.text((free[0] / 2 - box[0] + shift[0], free[1] / 2 - box[1] + shift[1]), text, fill=255, font=font)


def _shape(pen: ImageDraw.ImageDraw, name: str, rng: np.random.Generator) -> None:
    radius = int(rng.integers(9, 14))
    x, y = (CANVAS // 2 + int(v) for v in rng.integers(-2, 3, size=2))
    box = (x - radius, y - radius, x + radius, y + radius)
    thick = max(2, radius // 3)
    if name == "circle":
        pen.ellipse(box, fill=255)
    elif name == "ring":
        pen.ellipse(box, outline=255, width=thick)
    elif name == "square":
        pen.rectangle((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), fill=255)
    elif name == "triangle":
        pen.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=255)
    elif name == "diamond":
        pen.polygon([(x, box[1]), (box[2], y), (x, box[3]), (box[0], y)], fill=255)
    else:
        pen.rectangle((box[0], y - thick // 2, box[2], y + thick // 2), fill=255)
        pen.rectangle((x - thick // 2, box[1], x + thick // 2, box[3]), fill=255)


@lru_cache(maxsize=512)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    folder = resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf"
    # the plain layout engine: what is set does not depend on whether the machine has Raqm
    return ImageFont.truetype(
        io.BytesIO((folder / f"{name}.ttf").read_bytes()), size, layout_engine=ImageFont.Layout.BASIC
    )
