"""A small table of features in the manner of a shipped pool, with bad rows planted in it.

Eight kinds of rows, common to rare; every second one is spread wide. Beside clean rows: near-copies, noise (vectors
and answers that mean nothing), mismatched pairs (the picture of one kind, the text of another) and wrong answers.
What a method may read and what only tests know (``truth``) are kept apart. Everything follows from ``SEED``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

SEED: Final = 20_260_104
KINDS: Final = (100, 90, 75, 60, 45, 35, 22, 13)
"""Clean rows of each kind."""
COPIES, NOISE, MISMATCHED, WRONG = 60, 50, 50, 40
WIDTH: Final = 32
"""Numbers of an image vector, and of a text vector."""
SKETCH: Final = 64
"""Numbers of a gradient sketch."""
SPREAD: Final = (0.5, 0.8)
"""Length of what is added to a kind's direction, for even and odd kinds."""
SOURCES: Final = ("north", "amber", "stone", "maple", "harbor")
LABELS: Final = ("red", "blue", "green", "yellow")
WORDS: Final = 8
"""Words of a kind, the n-th with a share in proportion to 1/n."""
ODD: Final = 5.5
"""Surprise (nats) at a word where the words before it let one expect those of another kind."""
TASKS: Final = (1, 2, 3)
"""Kinds that are to be learnt: those of the target rows."""


@dataclass(frozen=True)
class Truth:
    """What no method sees."""

    kind: Ints
    """Of the picture; −1 for noise."""
    plant: NDArray[np.str_]
    """clean, copy, noise, mismatched, wrong."""
    trait: NDArray[np.str_]
    """Of the losses: known, learnable, hard (and bad, where the answer is wrong)."""
    help: NDArray[np.str_]
    """What the instruction does for the answer: all, much, little; or harm."""
    general: NDArray[np.bool_]
    """Rows whose gradient serves every target task."""
    original: Ints
    """Of a copy the row that it was made from; of other rows itself."""

    def bad(self) -> NDArray[np.bool_]:
        return np.isin(self.plant, ("noise", "mismatched", "wrong"))


@dataclass(frozen=True)
class Target:
    """Rows like what is to be learnt, none of them in the pool. Vectors have length 1."""

    images: Floats
    joint: Floats
    gradients: Floats
    sources: NDArray[np.str_]


@dataclass(frozen=True)
class Pool:
    """What methods see of ``len(pool)`` rows, which are told by position."""

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    sources: NDArray[np.str_]
    labels: NDArray[np.str_]
    """First word of the answer: what picture and question should tell."""
    images: Floats
    texts: Floats
    similarity: Floats
    loss: Floats
    """Of the answer's tokens (here words) under the base model."""
    loss_of_random_attempt: Floats
    """Under a model trained on ``holdout``."""
    loss_with_experience: Floats
    """Under a model trained on a few rows of every cluster."""
    holdout: Ints
    gradients: Floats
    targets: tuple[Target, ...]
    """One per target task."""
    reference: Target
    """Clean rows of all kinds."""
    truth: Truth

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def joint(self) -> Floats:
        """Image and text halves joined, of length 1."""
        joined: Floats = np.hstack([self.images, self.texts]) / np.sqrt(2)
        return joined

    def judge(self, text: str) -> int:
        """In place of a language model's grade of a text, 0 to 5: five times the share of words of target kinds."""
        wanted = {word for kind in TASKS for word in vocabulary(kind)}
        known = [word for word in text.split() if word[:1] == "w"]
        return round(5 * sum(word in wanted for word in known) / max(len(known), 1))

    def train(self, rows: Ints) -> float:
        """In place of a training: the score, 0 to 1, of a model that learnt from ``rows``. It grows with the root of
        the share of each kind of use, so that all of them are needed; rows with wrong answers are of none."""
        truth = self.truth
        good = ~truth.bad()[rows]
        shares = np.bincount(truth.kind[rows][good], minlength=len(KINDS)) / max(len(rows), 1)
        return float(np.sqrt(shares) @ USE / np.linalg.norm(USE))


USE: Final = np.array([0.4, 1.0, 0.9, 1.0, 0.4, 0.5, 0.5, 0.5])
"""Of the kinds, for the score."""

Select = Callable[..., list[int]]
"""``select(pool, count, seed)``: positions of the chosen rows, in the method's order."""


def vocabulary(kind: int) -> list[str]:
    return [f"w{kind}x{word}" for word in range(WORDS)]


def unit(vectors: Floats) -> Floats:
    """Every row scaled to length 1."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled


def around(centres: Floats, spread: Floats | float, rng: Rng) -> Floats:
    """A direction near each centre; ``spread`` is the length of what is added."""
    added = rng.normal(size=centres.shape) / np.sqrt(centres.shape[1])
    return unit(centres + np.reshape(spread, (-1, 1)) * added)


@cache
def make_pool() -> Pool:
    """The table; the same at every call."""
    rng = np.random.default_rng(SEED)
    directions = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0][: len(KINDS)]
    slopes = np.linalg.qr(rng.normal(size=(SKETCH, SKETCH)))[0][: len(KINDS)]
    truth = _truth(rng)
    copied = truth.original
    images, texts, said = _vectors(truth, directions, rng)
    answers, surprise = _answers(truth, said, rng)
    base, after = _losses(truth, rng)
    ratio = np.select([truth.help == name for name in ("all", "much", "little")], [0.35, 0.6, 0.85], 1.6)
    return Pool(
        prompts=tuple(f"What is at the {row % 9}th place?" for row in range(len(copied))),
        answers=tuple(answers[row] for row in copied),
        sources=np.array([_source(int(kind), rng) for kind in truth.kind]),
        labels=np.array([answers[row].split()[0] for row in copied]),
        images=images,
        texts=texts,
        similarity=np.sum(images * texts, axis=1),
        loss=base[copied] * rng.uniform(0.97, 1.03, len(copied)),
        loss_of_random_attempt=after[copied] * rng.uniform(0.97, 1.03, len(copied)),
        loss_with_experience=(surprise * ratio)[copied],
        holdout=np.sort(rng.choice(len(copied), 60, replace=False)),
        gradients=_gradients(truth, slopes, base, rng),
        targets=tuple(_target(np.full(16, kind), directions, slopes, rng) for kind in TASKS),
        reference=_target(rng.choice(len(KINDS), 160, p=np.array(KINDS) / sum(KINDS)), directions, slopes, rng),
        truth=truth,
    )


def _truth(rng: Rng) -> Truth:
    """Kinds and plants, in mixed order."""
    clean = np.repeat(np.arange(len(KINDS)), KINDS)
    originals = np.repeat(rng.choice(len(clean), 10, replace=False), COPIES // 10)
    others = rng.choice(len(KINDS), MISMATCHED + WRONG, p=np.array(KINDS) / sum(KINDS))
    kind = np.concatenate([clean, clean[originals], np.full(NOISE, -1), others])
    sizes = (len(clean), COPIES, NOISE, MISMATCHED, WRONG)
    plant = np.repeat(("clean", "copy", "noise", "mismatched", "wrong"), sizes)
    order = rng.permutation(len(kind))
    place = np.argsort(order)  # where a row of the old order stands now
    original = np.arange(len(kind))
    original[len(clean) : len(clean) + COPIES] = originals
    good = np.isin(plant, ("clean", "copy"))
    trait = np.where(good, rng.choice(("known", "learnable", "hard"), len(kind), p=(0.3, 0.4, 0.3)), "bad")
    help_ = np.where(good, rng.choice(("all", "much", "little"), len(kind), p=(0.4, 0.35, 0.25)), "harm")
    general = (plant == "clean") & ~np.isin(kind, TASKS) & (rng.random(len(kind)) < 0.2)
    return Truth(
        kind=kind[order],
        plant=plant[order],
        trait=trait[original][order],
        help=help_[original][order],
        general=general[order],
        original=place[original][order],
    )


def _vectors(truth: Truth, directions: Floats, rng: Rng) -> tuple[Floats, Floats, Ints]:
    """Image and text vectors, and the kind that the text speaks of."""
    said = truth.kind.copy()
    mismatched = truth.plant == "mismatched"
    said[mismatched] = (said[mismatched] + rng.integers(1, len(KINDS), mismatched.sum())) % len(KINDS)
    images = around(directions[truth.kind], np.array(SPREAD)[truth.kind % 2], rng)
    texts = around(directions[said], SPREAD[0], rng)
    noise = truth.plant == "noise"
    images[noise], texts[noise] = (unit(rng.normal(size=(noise.sum(), WIDTH))) for _ in range(2))
    copies = truth.plant == "copy"
    images[copies] = around(images[truth.original[copies]], 0.03, rng)
    texts[copies] = around(texts[truth.original[copies]], 0.03, rng)
    return images, texts, said


def _answers(truth: Truth, said: Ints, rng: Rng) -> tuple[list[str], Floats]:
    """Answers, and the mean surprise (nats) of their words to one who knows how words are drawn."""
    chances = 1 / np.arange(1, WORDS + 1)
    chances /= chances.sum()
    answers, surprise = [], []
    for kind, plant in zip(said, truth.plant, strict=True):
        length = int(rng.integers(6, 14))
        label = int(kind) % len(LABELS)
        words = rng.choice(WORDS, length, p=chances)
        nats = [np.log(len(LABELS)), *-np.log(chances[words])]
        if plant == "noise":
            label = int(rng.integers(len(LABELS)))
            told = [str(rng.choice(vocabulary(int(other)))) for other in rng.integers(len(KINDS), size=length)]
            nats = [ODD]
        else:
            told = [vocabulary(int(kind))[word] for word in words]
        if plant == "wrong":
            label = (label + int(rng.integers(1, len(LABELS)))) % len(LABELS)
            nats[1] = ODD
        answers.append(" ".join([LABELS[label], *told]))
        surprise.append(float(np.mean(nats)))
    return answers, np.array(surprise)


def _losses(truth: Truth, rng: Rng) -> tuple[Floats, Floats]:
    """Under the base model, and after a training on a random part of the pool. Kind 4 is harder than the others."""
    named = [truth.trait == trait for trait in ("known", "learnable", "hard")]
    harder = np.where(truth.kind == 4, 0.6, 0.0)
    before = np.select(named, [0.3, 2.0, 2.6], 3.4) * rng.uniform(0.9, 1.1, len(truth.kind))
    after = np.select(named, [0.25, 0.6, 2.3], 3.3) * rng.uniform(0.9, 1.1, len(truth.kind))
    return before + harder, after + harder


def _gradients(truth: Truth, slopes: Floats, loss: Floats, rng: Rng) -> Floats:
    """A kind's slope, the longer the higher the loss; of general rows the target tasks' slopes together; of wrong
    answers the way back; of noise a very long one of little meaning."""
    wanted = unit(slopes[list(TASKS)].sum(axis=0)[None])
    slope = np.where(truth.general[:, None], wanted, slopes[truth.kind])
    slope = np.where((truth.plant == "wrong")[:, None], -slope, slope)
    gradients = around(slope, 0.6, rng) * (0.3 + loss[:, None] / 3)
    noise = truth.plant == "noise"
    gradients[noise] = 20 * unit(unit(rng.normal(size=(noise.sum(), SKETCH))) + 0.35 * wanted)
    found: Floats = gradients
    return found


def _target(kinds: Ints, directions: Floats, slopes: Floats, rng: Rng) -> Target:
    images = around(directions[kinds], np.array(SPREAD)[kinds % 2], rng)
    texts = around(directions[kinds], SPREAD[0], rng)
    return Target(
        images=images,
        joint=np.hstack([images, texts]) / np.sqrt(2),
        gradients=around(slopes[kinds], 0.6, rng),
        sources=np.array([SOURCES[int(kind) % len(SOURCES)] for kind in kinds]),
    )


def _source(kind: int, rng: Rng) -> str:
    """Mostly the kind's own."""
    own = kind >= 0 and rng.random() < 0.85
    return SOURCES[kind % len(SOURCES)] if own else str(rng.choice(SOURCES))
