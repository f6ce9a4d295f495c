"""Captions in several styles and languages, true of the concept they are asked for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from curation_plugins.tasks.datacomp.tiny.concepts import VALUES, Concept, pick

STYLES = ("terse", "sentence", "alt", "upper", "file")
"""How a caption is put; every kind of row has all of them."""

BOILERPLATE = (
    "click to enlarge", "image not available", "loading please wait", "photo 1 of 12", "no description",
    "share this picture with your friends", "copyright all rights reserved by the owner of this page",
    "thumbnail", "advertisement", "product picture may differ from what is delivered to you",
)  # fmt: skip
"""Captions that say nothing of any image."""


class Language(BaseModel):
    """Names and templates of one language, from `languages.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digit: dict[str, str]
    """Value to its name."""
    shape: dict[str, str]
    colours: dict[str, str]
    phrases: dict[str, tuple[str, ...]]
    """Family to terse templates."""
    sentences: dict[str, tuple[str, ...]]
    tails: tuple[str, ...]
    """What a page adds to an image's text."""

    def name(self, concept: Concept) -> str:
        """A letter and a printed word are what they are in every language."""
        return {"digit": self.digit, "shape": self.shape}.get(concept.family, {}).get(concept.value, concept.value)


@lru_cache(maxsize=1)
def languages() -> dict[str, Language]:
    """By code; the first is English."""
    text = (Path(__file__).parent / "languages.yaml").read_text(encoding="utf-8")
    return {code: Language.model_validate(entry) for code, entry in yaml.safe_load(text).items()}


def caption(concept: Concept, language: str, style: str, rng: np.random.Generator) -> str:
    """A true caption.

    Args:
        language: a code of `languages()`.
        style: one of STYLES.
    """
    words = languages()[language]
    whole = style == "sentence" or (style in ("upper", "alt") and rng.random() < 0.5)
    template = pick(rng, (words.sentences if whole else words.phrases)[concept.family])
    text = template.format(v=words.name(concept), c=words.colours[concept.colour])
    if style == "upper":
        return text.upper()
    if style == "alt":
        return _alt(text, words, rng)
    if style == "file":
        return f"{text.rstrip('.').replace(' ', '_')}_{int(rng.integers(10_000)):04d}.jpg"
    return text


def reworded(text: str, rng: np.random.Generator) -> str:
    """The caption of a near-copy: the same words, put a little differently."""
    return pick(rng, (text, text.lower(), text.rstrip("."), f"{text} {int(rng.integers(10))}"))


def vocabulary() -> list[str]:
    """Texts that hold every word of every language, for the tokenizer."""
    texts = [*BOILERPLATE]
    for words in languages().values():
        texts += [*words.digit.values(), *words.shape.values(), *words.colours.values(), *words.tails]
        for templates in (*words.phrases.values(), *words.sentences.values()):
            texts += [template.replace("{v}", " ").replace("{c}", " ") for template in templates]
    return [*texts, *VALUES["letter"], *VALUES["word"], "jpg", "www", "com", *map(str, range(10))]


def _alt(text: str, words: Language, rng: np.random.Generator) -> str:
    """As an alt attribute of a shop's or a blog's page."""
    tail = pick(rng, words.tails)
    number = int(rng.integers(1000))
    return pick(rng, (f"{text} | {tail}", f"{tail} - {text}", f"{text} ({number}) {tail}", f"{number} {text}"))
