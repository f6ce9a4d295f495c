"""What the audit looks for: the texts of the benchmarks' items, each once, with what makes it findable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from curation_plugins.tasks.llava.audit.words import content, stems
from curation_plugins.tasks.llava.benchmarks.answers import literal_texts
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem

GRAM = 3
"""Words of an n-gram. Questions of benchmarks are short (the 8 of the seed system's audit see none under 12 words),
and two equal words in a row say too little."""
GENERIC_GROUPS = 3
"""A text that items of this many groups share is a way of asking, not an item."""
FRAME_GRAMS = 0.05
FRAME_WORDS = 0.1
FRAME_LEAST = 20
"""An n-gram, or word, in more than this share of the different texts, and in more than `FRAME_LEAST` of them, belongs
to the frame in which a benchmark asks ("Hint: please answer …") and does not count."""
LONG_ANSWER = 12
"""Words from which on an answer alone can be told from others, as in the seed system's audit."""
LONG_ANSWER_CONTENT = 8

Kind = Literal["question", "choices", "answer"]
Gram = tuple[str, ...]
One = TypeVar("One")


@dataclass(frozen=True)
class Target:
    """One text of one or several items."""

    kind: Kind
    """``choices``: a question with its options."""
    order: tuple[str, ...]
    """Stems of the question, or of the answer, in order."""
    options: tuple[tuple[str, ...], ...]
    """Stems of each option."""
    items: tuple[BenchmarkItem, ...]
    """The first of each group."""
    bag: frozenset[str] = frozenset()
    """What the text is about, without the frame."""
    grams: frozenset[Gram] = frozenset()
    """N-grams of `order`, without the frame."""

    @property
    def item(self) -> BenchmarkItem:
        return self.items[0]


@dataclass
class _Draft:
    kind: Kind
    order: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    bag: frozenset[str]
    groups: dict[str, BenchmarkItem] = field(default_factory=dict)


def targets_of(items: Iterable[BenchmarkItem]) -> list[Target]:
    """The texts of all items that are specific enough to be looked for, in the order of the items."""
    drafts: dict[tuple[object, ...], _Draft] = {}
    for item in items:
        for draft in _drafts(item):
            key = (draft.kind, draft.order, tuple(sorted(draft.options)))
            drafts.setdefault(key, draft).groups.setdefault(f"{item.benchmark}/{item.group or item.item}", item)
    grams = {id(draft): grams_of(draft.order) for draft in drafts.values()}
    common_grams = _common((grams[id(draft)] for draft in drafts.values()), FRAME_GRAMS * len(drafts))
    common_words = _common((draft.bag for draft in drafts.values()), FRAME_WORDS * len(drafts))
    return [
        Target(
            kind=draft.kind,
            order=draft.order,
            options=draft.options,
            items=tuple(draft.groups.values()),
            bag=draft.bag - common_words,
            grams=grams[id(draft)] - common_grams,
        )
        for draft in drafts.values()
        if len(draft.groups) < GENERIC_GROUPS
    ]


def _drafts(item: BenchmarkItem) -> Iterable[_Draft]:
    asked = stems(item.question)
    yield _Draft("question", asked, (), content(item.question))
    options = tuple(one for one in (stems(text) for text in item.options.values()) if one)
    if len(options) > 1:
        yield _Draft("choices", asked, options, content(" ".join((item.question, *item.options.values()))))
    for text in gold_texts(item):
        answer, said = stems(text), content(text)
        if len(answer) >= LONG_ANSWER and len(said) >= LONG_ANSWER_CONTENT:
            yield _Draft("answer", answer, (), said)


def _common(sets: Iterable[frozenset[One]], limit: float) -> frozenset[One]:
    counts = Counter(one for members in sets for one in members)
    return frozenset(one for one, count in counts.items() if count > max(FRAME_LEAST, limit))


def grams_of(order: Sequence[str]) -> frozenset[Gram]:
    """All runs of `GRAM` stems."""
    return frozenset(tuple(order[place : place + GRAM]) for place in range(len(order) - GRAM + 1))


def gold_texts(item: BenchmarkItem) -> list[str]:
    """Each text that is right by itself: the right option's text, or the answers of a list (OCRBench's any-of,
    MMVet's ``<AND>`` and ``<OR>``)."""
    if item.answer in item.options:
        return [item.options[item.answer]]
    several = literal_texts(item.answer) if item.answer.startswith("[") else None
    if several is None:
        several = item.answer.replace("<OR>", "<AND>").split("<AND>")
    return [text.strip() for text in several if text.strip()]


def gold_letter(item: BenchmarkItem) -> str | None:
    """The right option's letter, where there are options."""
    if item.answer in item.options:
        return item.answer
    return next((letter for letter, text in item.options.items() if text == item.answer), None)


def vocabulary(targets: Iterable[Target]) -> Mapping[str, int]:
    """A number from 1 on for each stem of the targets."""
    known: dict[str, int] = {}
    for target in targets:
        for run in (target.order, *target.options):
            for one in run:
                known.setdefault(one, len(known) + 1)
    return known
