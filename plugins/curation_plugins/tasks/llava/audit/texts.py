"""Benchmark items in the text of rows: the rules and their thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from curation_plugins.tasks.llava.audit.agreement import agreement
from curation_plugins.tasks.llava.audit.findings import Rule
from curation_plugins.tasks.llava.audit.seeds import Codes, SeedIndex
from curation_plugins.tasks.llava.audit.targets import (
    GRAM,
    Target,
    gold_texts,
    grams_of,
    targets_of,
    vocabulary,
)
from curation_plugins.tasks.llava.audit.words import content, holds, stem, stems, words
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem

COPY = 0.8
"""Least share of the item's n-grams in a row: a word changed in the middle of a question of 17 words is still a copy.
The seed system's audit has 0.8, too, of 8-grams."""
PARAPHRASE = 0.8
"""Least share of the item's content words in a row, for a paraphrase, and for a question with its options."""
QUESTION_CONTENT = 5
QUESTION_WORDS = 8
"""A question alone speaks for a leak from this many content words, and words, on; a shorter one anybody may ask. All
its content words must be there: with another name in it, it asks something else."""
ANSWERED_CONTENT = 5
ANSWERED_QUESTION_CONTENT = 3
"""A question that comes with the item's answer: content words of both together, and of the question."""
OPTIONS_CONTENT = 5
"""Content words of question and options together."""

_BITS = 21
"""Of one word's number: an n-gram of three fits 63 bits, so equal codes are equal n-grams."""
_CACHED_WORDS = 2**17
"""Different words of rows whose numbers are kept at a time."""


@dataclass(frozen=True)
class Exchange:
    """A question of a row and its answer."""

    row: int
    about: str
    """The row's picture, or what tells a row of text only from others."""
    human: str
    gpt: str


@dataclass(frozen=True)
class Match:
    """An exchange that holds an item, by one rule."""

    exchange: Exchange
    target: int
    item: BenchmarkItem
    rule: Rule
    score: float
    how: str


class TextIndex:
    """The benchmarks' texts, to be looked for in any number of exchanges.

    Raises:
        ValueError: more than two million different words.
    """

    def __init__(self, items: Sequence[BenchmarkItem], *, without: frozenset[str] = frozenset()) -> None:
        """``without``: stems of questions, one blank between, that are known to say nothing."""
        found = targets_of(items)
        self.targets = [one for one in found if _findable(one) and not (without and " ".join(one.order) in without)]
        known = vocabulary(self.targets)
        if len(known) >= 2**_BITS:
            raise ValueError(f"{len(known)} different words in benchmarks")
        self._numbers = _Numbers(known)
        self._grams = SeedIndex(
            [
                frozenset() if one.kind == "choices" else frozenset(_code(gram, known) for gram in one.grams)
                for one in self.targets
            ],
            COPY,
        )
        self._bag_numbers = [
            frozenset() if one.kind == "answer" else frozenset(known[word] for word in one.bag)
            for one in self.targets
        ]
        self._bags = SeedIndex(self._bag_numbers, PARAPHRASE)

    def compare(self, exchanges: Sequence[Exchange]) -> Iterator[Match]:
        """What the exchanges hold; at most one match for an exchange and a target."""
        parts = self._encode(exchanges)
        lengths = [len(part) for part in parts]
        numbers = np.fromiter(chain.from_iterable(parts), dtype=np.int64, count=sum(lengths))
        texts = np.repeat(np.arange(len(parts)), lengths)
        grams, inside = _gram_codes(numbers)
        for text, target in self._grams.candidates(grams, texts[inside]):
            if (match := self._by_copy(exchanges[text], target)) is not None:
                yield match
        for text, target in self._bags.candidates(numbers, texts):
            bag = self._bag_numbers[target]
            if len(bag.intersection(parts[text])) < PARAPHRASE * len(bag):
                continue
            if (match := self._by_words(exchanges[text], target)) is not None:
                yield match

    def _encode(self, exchanges: Sequence[Exchange]) -> list[list[int]]:
        """Numbers of each exchange's words, 0 for words of no target and at the ends of question and answer."""
        numbers = self._numbers
        return [
            [*(numbers[word] for word in words(one.human)), 0, *(numbers[word] for word in words(one.gpt)), 0]
            for one in exchanges
        ]

    def _by_copy(self, exchange: Exchange, place: int) -> Match | None:
        target = self.targets[place]
        said = grams_of(stems(exchange.gpt))
        if target.kind == "question":
            said |= grams_of(stems(exchange.human))
        share = len(target.grams & said) / len(target.grams)
        if share < COPY:
            return None
        if target.kind == "answer":
            return Match(exchange, place, target.item, "answer", share, "")
        for item in target.items:
            agreed = agreement(item, exchange.gpt)
            if agreed and _tells_answered(target, item):
                return Match(exchange, place, item, "question+answer", share, f"answered {agreed}")
        specific = len(target.bag) >= QUESTION_CONTENT and len(target.order) >= QUESTION_WORDS
        if specific and target.bag <= content(exchange.human) | content(exchange.gpt):
            return Match(exchange, place, target.item, "question", share, "another answer, or none")
        return None

    def _by_words(self, exchange: Exchange, place: int) -> Match | None:
        target = self.targets[place]
        human, gpt = stems(exchange.human), stems(exchange.gpt)
        if target.kind == "choices":
            return _with_options(exchange, place, target, human, gpt)
        asked = content(exchange.human)
        share = len(target.bag & asked) / len(target.bag)
        if share < PARAPHRASE or len(target.bag) < ANSWERED_CONTENT:
            return None
        if target.grams and len(target.grams & grams_of(human)) / len(target.grams) >= COPY:
            return None
        for item in target.items:
            beside = content(" ".join(item.options.values()))
            agreed = agreement(item, exchange.gpt)
            if agreed and len(asked - beside) <= 2 * len(target.bag):
                how = f"its words in another order or form, answered {agreed}"
                return Match(exchange, place, item, "paraphrase", share, how)
        return None


def _findable(target: Target) -> bool:
    """Whether any rule could speak for it."""
    if target.kind == "choices":
        return len(target.bag) >= OPTIONS_CONTENT
    return len(target.bag) >= ANSWERED_QUESTION_CONTENT and bool(target.grams)


def _tells_answered(target: Target, item: BenchmarkItem) -> bool:
    gold = content(" ".join(gold_texts(item)))
    return len(target.bag) >= ANSWERED_QUESTION_CONTENT and len(target.bag | gold) >= ANSWERED_CONTENT


def _with_options(
    exchange: Exchange, place: int, target: Target, human: tuple[str, ...], gpt: tuple[str, ...]
) -> Match | None:
    """The question and all of its options but one, which is often left out where the answer gives its text."""
    there = sum(holds(human, option) or holds(gpt, option) for option in target.options)
    if there < max(2, len(target.options) - 1):
        return None
    frame = grams_of(target.order)
    shared = len(frame & grams_of(human))
    if shared < COPY * len(frame) or (not frame and not holds(human, target.order)):
        return None
    agreed = [(item, how) for item in target.items if (how := agreement(item, exchange.gpt))]
    item, how = agreed[0] if agreed else (target.item, None)
    score = (shared + there) / (len(frame) + len(target.options))
    said = f"answered {how}" if how else "another answer, or none"
    return Match(
        exchange, place, item, "question+options", score, f"{there} of {len(target.options)} options, {said}"
    )


class _Numbers(dict[str, int]):
    """Word to the number of its stem; 0 for stems of no target."""

    def __init__(self, known: Mapping[str, int]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        number = self._known.get(stem(word), 0)
        self[word] = number
        return number


def _gram_codes(numbers: Codes) -> tuple[Codes, Codes]:
    """Codes of the n-grams of known words, and where each begins."""
    count = len(numbers) - GRAM + 1
    if count < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    codes, known = np.zeros(count, np.int64), np.ones(count, np.bool_)
    for place in range(GRAM):
        word = numbers[place : place + count]
        codes = (codes << _BITS) | word
        known &= word > 0
    inside = np.flatnonzero(known)
    return codes[inside], inside


def _code(gram: tuple[str, ...], known: Mapping[str, int]) -> int:
    code = 0
    for word in gram:
        code = (code << _BITS) | known[word]
    return code
