"""The three flags of an attempt: grounded, shallow, effective."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from curation_harness.diagnostics.features import Features
from curation_harness.diagnostics.judgement import Flag, Labelled
from curation_harness.diagnostics.tries import Function, Quote, Try
from curation_plugins.policies.code import PolicyCode

MEAN: Final = "mean"
WORDS: Final = (".md", ".txt", ".yaml", ".yml")
"""Endings of files that an agent writes what it thinks into."""
TOLERANCE: Final = 0.006
"""Largest difference between a quoted score and the recorded one: two decimals, rounded either way."""

_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_ATTEMPT: Final = re.compile(r"(?:\battempts?|\biteration|\btry|\brun|#)\s*#?(\d{1,3})\b", re.IGNORECASE)
_FIGURE: Final = re.compile(r"(?<![\w.])(?:0?\.(\d{2,6})|(\d{1,2}(?:\.\d+)?)\s?%)")
_WORD: Final = re.compile(r"[a-z]{3,}|\d+\.\d+|\d{2,}")
_EMPTY: Final = frozenset(
    _WORD.findall(
        "the and for with from that this than then were was are not but row rows pool data score scores attempt"
        " policy seed main out read write path file json jsonl numpy select selected choose chosen more less mean"
        " signals signal value values rng sort argsort random module history args because"
    )
)
"""Words that fit any change."""


def effective(measured: Features, noise_floor: float | None) -> Flag:
    """Whether the public score is above the best before it by more than the noise floor."""
    if measured.gain is None or measured.mean is None or measured.best_before is None:
        return Flag(value=None, evidence=("no score before it to be above",))
    against = f"{measured.mean:.4f} against {measured.best_before:.4f}, the best before it: {measured.gain:+.4f}"
    if noise_floor is None:
        return Flag(value=None, evidence=(f"{against}; the noise floor was not measured",))
    side = "beyond" if measured.gain > noise_floor else "not beyond"
    return Flag(
        value=measured.gain > noise_floor, evidence=(f"{against}, {side} the noise floor of {noise_floor:.4f}",)
    )


def shallow(labelled: Labelled) -> Flag:
    """Whether what changed is knobs only, which the label decides."""
    if labelled.shallow is None:
        return Flag(value=None, evidence=("nothing to compare it with",))
    said = "knobs only, or nothing, changed" if labelled.shallow else "the procedure changed"
    return Flag(value=labelled.shallow, evidence=(f"{labelled.label}: {said}",))


def grounded(one: Try, before: Sequence[Try]) -> Flag:
    """Whether the attempt cites evidence that it had, and its code does something that fits.

    Args:
        before: the scored attempts before it.
    """
    found: list[str] = []
    lacking: list[str] = []
    for holds, evidence in (*_cards(one), *_quotes(one, before), *_notes(one, before)):
        (found if holds else lacking).append(evidence)
    if found:
        return Flag(value=True, evidence=tuple(found))
    return Flag(value=False, evidence=tuple(lacking) or ("cites no card that was read and no score of an attempt",))


# -- cards -----------------------------------------------------------------------------------------


def _cards(one: Try) -> Iterator[tuple[bool, str]]:
    """Cited cards that were read, with every function named for a step at work."""
    for card in one.cited:
        if card not in one.cards_read:
            yield False, f"cites the card {card}, which was not read before"
    read = [card for card in one.cited if card in one.cards_read]
    if not read or one.claims is None:
        return
    idle = [f"{named[0]}:{named[1]} {why}" for named in one.claims.functions if (why := _idle(one, named))]
    cited = f"cites {', '.join(read)}, read before"
    if idle or not one.claims.functions:
        yield False, f"{cited}; {'; '.join(idle) or 'no function is named for a step'}"
    else:
        proof = "entered when the host ran the policy" if one.functions is not None else "part of what is written"
        yield True, f"{cited}; all {len(one.claims.functions)} functions named for its steps are {proof}"


def _idle(one: Try, named: Function) -> str:
    """Why a function does no work; empty: it does."""
    function = one.code.function(*named) if one.code else None
    if function is None:
        return "does not exist"
    if not function.live or not function.operations:
        return "computes nothing that is written"
    return "was not entered" if one.functions is not None and named not in one.functions else ""


# -- scores ----------------------------------------------------------------------------------------


def _quotes(one: Try, before: Sequence[Try]) -> Iterator[tuple[bool, str]]:
    """Scores quoted in ``research.yaml`` for a change that was made; those in ``method.yaml`` stand beside cards."""
    if one.claims is None or one.claims.starts_from is None:
        return
    base = next((old for old in before if old.n == one.claims.starts_from), None)
    true = [quote for quote in one.claims.quotes if _is_true(quote, before)]
    for quote in one.claims.quotes:
        if quote not in true:
            yield (
                False,
                f"quotes {quote.benchmark} {quote.score:g} of attempt {quote.attempt}, which is not its score",
            )
    if not true or base is None:
        return
    said = f"{one.claims.file} rests on {_told(true[0])}"
    idle = [named for named in one.claims.functions if _idle(one, named) and named[1] != "<module>"]
    if changed_words(one.code, base.code) and len(idle) < len(one.claims.functions):
        yield True, f"{said}; the code it names was changed and is at work"
    else:
        yield False, f"{said}; nothing that is at work was changed"


def _is_true(quote: Quote, before: Sequence[Try]) -> bool:
    return any(
        old.n == quote.attempt
        and (score := _score(old, quote.benchmark)) is not None
        and abs(score - quote.score) <= TOLERANCE
        for old in before
    )


def _score(old: Try, benchmark: str) -> float | None:
    return old.mean if benchmark == MEAN else old.by_benchmark.get(benchmark)


def _told(quote: Quote) -> str:
    return f"{quote.benchmark} {quote.score:g} of attempt {quote.attempt}"


# -- notes -----------------------------------------------------------------------------------------


def _notes(one: Try, before: Sequence[Try]) -> Iterator[tuple[bool, str]]:
    """Sentences of the note and the policy's documents that cite a score of an earlier attempt by number, and share a
    word with what was changed."""
    for sentence in _sentences(one):
        cited = _cited(sentence, before)
        if cited is None:
            continue
        attempt, what = cited
        common = _words(sentence) & changed_words(one.code, attempt.code)
        if common:
            yield (
                True,
                f"its words cite {what} of {attempt.name}, and {', '.join(sorted(common)[:5])} changed in the code",
            )
        else:
            yield False, f"its words cite {what} of {attempt.name}; nothing they name changed in the code"


def _sentences(one: Try) -> Iterator[str]:
    own = one.claims.file if one.claims else ""
    free = [text for name, text in sorted(one.documents.items()) if name.endswith(WORDS) and name != own]
    for text in (one.note, *free):
        yield from _SENTENCE.split(text[:20_000])


def _cited(sentence: str, before: Sequence[Try]) -> tuple[Try, str] | None:
    """The earlier attempt whose score, or benchmark, a sentence cites by number."""
    numbers = {int(found) for found in _ATTEMPT.findall(sentence)}
    figures = [float("0." + short) if short else float(percent) / 100 for short, percent in _FIGURE.findall(sentence)]
    for old in before:
        if old.n not in numbers:
            continue
        if old.mean is not None and any(abs(figure - old.mean) <= TOLERANCE for figure in figures):
            return old, "the score"
        for benchmark, score in old.by_benchmark.items():
            named = re.search(rf"\b{re.escape(benchmark)}\b", sentence, re.IGNORECASE)
            if named or any(abs(figure - score) <= TOLERANCE for figure in figures):
                return old, benchmark
    return None


def changed_words(new: PolicyCode | None, old: PolicyCode | None) -> set[str]:
    """Words of what differs between two policies: names read, calls made, constants, functions."""
    if new is None or old is None:
        return set()
    changed = [
        *{*new.reads} ^ {*old.reads},
        *{*new.calls} ^ {*old.calls},
        *{part.qualname for part in new.functions} ^ {part.qualname for part in old.functions},
    ]
    texts = [{(part.function, part.text) for part in code.constants} for code in (new, old)]
    changed += [part for pair in texts[0] ^ texts[1] for part in pair]
    return {word for text in changed for word in _words(text)}


def _words(text: str) -> set[str]:
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").lower()
    return {word.removesuffix("s") for word in _WORD.findall(spread)} - _EMPTY
