"""Whether a row's answer is an item's."""

from __future__ import annotations

import re
from typing import Literal

from curation_plugins.tasks.llava.audit.targets import gold_letter, gold_texts
from curation_plugins.tasks.llava.audit.words import holds, stems
from curation_plugins.tasks.llava.benchmarks.item import BenchmarkItem

Agreement = Literal["as text", "as letter"]

_LETTER = re.compile(r"^\W*(?:(?:the|correct|right|option|answer|is)\b[\s:]*)*\(?([A-Z])(?![\w'])", re.IGNORECASE)
_LETTER_WORDS = 6
"""An answer of more words than this is no bare letter: "A" begins many sentences."""
_ROOM = 8
"""Words that an answer may have beside four times the gold answer's: in a long text, a short one stands by chance."""


def agreement(item: BenchmarkItem, answer: str) -> Agreement | None:
    """How an answer gives the item's; None if it does not."""
    said = stems(answer)
    for text in gold_texts(item):
        gold = stems(text)
        if holds(said, gold) and len(said) <= 4 * len(gold) + _ROOM:
            return "as text"
    letter = gold_letter(item)
    match = _LETTER.match(answer)
    if letter is not None and match and match[1].upper() == letter and len(said) <= _LETTER_WORDS:
        return "as letter"
    return None
