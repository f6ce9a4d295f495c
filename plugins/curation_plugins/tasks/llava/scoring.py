"""How an answer of each benchmark is scored. Pure functions of prediction and gold answer; no guessing."""

from __future__ import annotations

import re
from collections.abc import Callable

_NUMBER_WORDS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip


def normalise(text: str) -> str:
    """Lower case, no punctuation at the ends, single spaces, no leading article."""
    words = re.sub(r"\s+", " ", text.lower()).strip(" .,!?:;\"'")
    return re.sub(r"^(a|an|the) ", "", words)


def exact(prediction: str, gold: str) -> float:
    """1 if the normalised texts are equal."""
    return float(normalise(prediction) == normalise(gold))


def number(prediction: str, gold: str) -> float:
    """1 if the prediction holds exactly one number, in digits or as a word, and it is the right one."""
    words = re.findall(r"[a-z]+|\d+", prediction.lower())
    found = [_NUMBER_WORDS.get(word, word) for word in words]
    numbers = [word for word in found if word.isdigit()]
    return float(numbers == [gold])


def yes_no(prediction: str, gold: str) -> float:
    """1 if exactly one of yes and no is said, and it is the right one."""
    said = {word for word in re.findall(r"[a-z]+", prediction.lower()) if word in ("yes", "no")}
    return float(said == {gold})


SCORERS: dict[str, Callable[[str, str], float]] = {
    "digits": number,
    "signs": exact,
    "lookup": exact,
    "counting": number,
    "existence": yes_no,
}
"""Benchmark name to rule."""
