"""A method card: what a published method does, told so that it can be implemented from the card alone.

A card is a YAML file of its own, named like its id. Its words are ours; what it says of the method (defaults,
failures) is the paper's, and where a number could not be confirmed the card says "not stated".
"""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from curation_plugins.config import Frozen

Family = Literal["acquisition", "filtering", "selection", "gradient", "mixture", "synthesis", "curriculum"]

FAMILIES: Final[dict[Family, str]] = {
    "acquisition": "which unlabelled or unseen data to get: search, active learning, retrieval towards a need",
    "filtering": "a score for each row on its own, and a threshold or rank: quality, difficulty, image-text match",
    "selection": "coverage: rows chosen for what they add to those chosen before; clusters, diversity, duplicates",
    "gradient": "influence: what training on a row does to a model or a target, by gradients or a model of training",
    "mixture": "how much of each source or domain: shares, caps, learnt weights",
    "synthesis": "new or rewritten rows: captions, instructions, answers, templates",
    "curriculum": "when and how often rows are seen: order, pacing, repetition, choice during training",
}
"""Families, and what belongs to each."""

Signal = Literal[
    "text", "images", "source", "turns", "lengths", "image-hash", "image-size", "similarity", "clip-embeddings",
    "answer-loss", "el2n", "embedding", "gradient", "neighbours",
    "attempts", "scores", "target-rows", "language-model", "extra-data", "none",
]  # fmt: skip
"""What a method reads: of the pool, by ``curate signal``, of the run's history, or from outside."""

SIGNALS: Final[dict[Signal, str]] = {
    "text": "the turns of rows.jsonl, or the captions of a pool of pairs",
    "images": "the pictures themselves",
    "source": "the set that a row came from",
    "turns": "number of turns",
    "lengths": "characters or tokens of prompts and answers",
    "image-hash": "average hash of the picture, shipped with the pool",
    "image-size": "width and height of the picture",
    "similarity": "of image and text by a model like CLIP, shipped with the pool",
    "clip-embeddings": "vectors of image and of text, shipped with the pool",
    "answer-loss": "curate signal answer-loss: mean loss of the answer's tokens, of the base model or an attempt's",
    "el2n": "curate signal el2n: error norm, of the base model or an attempt's",
    "embedding": "curate signal embedding: last hidden state of the base model or an attempt's",
    "gradient": "curate signal gradient: sketch of a row's gradient, of the base model or an attempt's",
    "neighbours": "curate signal neighbours: nearest rows of the pool with cosines",
    "attempts": "signals under the models that earlier attempts trained (--attempt N), or their selections",
    "scores": "the scores of earlier attempts",
    "target-rows": "a few examples, texts or vectors of what is to be learnt that are no items of a benchmark",
    "language-model": "a model that writes or judges text (or text about images)",
    "extra-data": "data from outside the pool",
    "none": "nothing but the rows' ids",
}
"""Every name of a signal, and what it is."""

assert set(FAMILIES) == set(get_args(Family))
assert set(SIGNALS) == set(get_args(Signal))

CardId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=1500)]


class Step(Frozen):
    """One step of a procedure."""

    id: Annotated[str, StringConstraints(pattern=r"^s[1-9][0-9]?$")]
    """``s1``, ``s2`` … in order: what a policy's ``method.yaml`` names."""
    step: Line
    """What is computed, from what, and what comes out."""


class Parameter(Frozen):
    """A number or choice of the method."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    """As in the steps."""
    default: str | int | float | bool
    """As published; ``not stated`` where it could not be confirmed."""
    meaning: Line
    """What it does, and where the default is from if that is not the paper's main setting."""


class Source(Frozen):
    """How id and title were checked."""

    checked: datetime.date
    """The day."""
    url: Annotated[str, StringConstraints(pattern=r"^https://")]
    """The paper's page."""
    how: Line
    """What was seen: the paper's page or a copy of it, or only entries in public bibliographies."""
    title_matched: Literal[True]
    """The title there is the card's; a card of which that cannot be said is not written."""


class MethodCard(Frozen):
    """A published method."""

    id: CardId
    """Name of the card, and of its file."""
    title: Line
    """Of the paper, exact."""
    authors: Annotated[tuple[Line, ...], Field(min_length=1, max_length=4)]
    """The first three; then ``et al.`` if there are more."""
    year: Annotated[int, Field(ge=1950, le=2100)]
    """Of the first version."""
    arxiv: Annotated[str, StringConstraints(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    """Number without version."""
    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")] | None = None
    """Where there is no arXiv number."""
    published: Annotated[str, StringConstraints(pattern=r"^https://")] | None = None
    """Where there is neither: the paper's page in its proceedings."""
    family: Family
    """What kind of mechanism decides."""
    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=300)]
    """One sentence."""
    signals: Annotated[tuple[Signal, ...], Field(min_length=1)]
    """What it reads."""
    needs_target: bool
    """Whether it looks at examples of what is scored, or like that."""
    procedure: Annotated[tuple[Step, ...], Field(min_length=2, max_length=20)]
    """Steps in order, precise enough to implement; where the paper needs what an agent has not (its own model, many
    checkpoints), what stands for it is said in the step."""
    parameters: tuple[Parameter, ...] = ()
    """With the published defaults."""
    cost: Line
    """On a pool of n rows: passes of a model, comparisons, memory."""
    fails_when: Annotated[tuple[Line, ...], Field(min_length=1)]
    """Conditions under which it is worse than random rows, or cannot be used."""
    image_text_use: Line
    """How it was used for image-text data; ``not published`` and how it could be, if it was not."""
    related: tuple[CardId, ...] = ()
    """Cards of methods near to it."""
    source: Source
    """How id and title were checked."""

    @model_validator(mode="after")
    def _whole(self) -> MethodCard:
        if [self.arxiv, self.doi, self.published].count(None) != 2:
            raise ValueError("one of arxiv, doi and published is needed, and only one")
        if [step.id for step in self.procedure] != [f"s{number}" for number in range(1, len(self.procedure) + 1)]:
            raise ValueError("the steps of the procedure are s1, s2 … in order")
        if "none" in self.signals and len(self.signals) > 1:
            raise ValueError("signals: none stands alone")
        if len(set(self.signals)) != len(self.signals):
            raise ValueError("signals: one is named twice")
        if self.needs_target != ("target-rows" in self.signals):
            raise ValueError("needs_target goes with the signal target-rows")
        if self.id in self.related:
            raise ValueError("a card is not related to itself")
        return self
