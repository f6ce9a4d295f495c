"""The card ``star``: reasons that end in the right answer are kept; failed rows are tried again with it as a hint."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Mapping, Sequence

from cards.models import Model

MARK = "Answer:"
UNITS = frozenset(
    {"cm", "m", "km", "kg", "g", "dollars", "euros", "percent", "degrees", "minutes", "hours", "pieces"}
)
EXAMPLES = (
    ("A box holds 3 rows of 4 jars. How many jars?", "3 rows of 4 are 3 * 4 = 12.", "12"),
    ("Tom has 9 nuts and eats 2. How many are left?", "9 less 2 is 7.", "7"),
)
"""s1: two stand for the ten of the card."""


def rewrite(records: Sequence[Mapping[str, str]], model: Model, count: int, seed: int) -> list[dict[str, str]]:
    """One round; s4 (training, always from the original model) is an attempt's."""
    kept = []
    for record in records:
        question, answer = record["question"], record["answer"]
        for asked in (question, f"{question} (Hint: it is {answer})"):  # s2, then s3
            said = model("reason", prompt(asked), 0)
            if matches(said, answer):
                if "hint" not in said.casefold():
                    kept.append({"question": question, "answer": said.strip()})
                break
    if len(kept) <= count:  # s5
        return kept
    return [kept[place] for place in sorted(random.Random(seed).sample(range(len(kept)), count))]


def prompt(question: str) -> str:
    shown = [f"Question: {asked}\n{reasons} {MARK} {answer}" for asked, reasons, answer in EXAMPLES]
    return "\n\n".join([*shown, f"Question: {question}\n"])


def matches(said: str, answer: str) -> bool:
    _, mark, told = said.rpartition(MARK)
    return bool(mark) and normal(told) == normal(answer)


def normal(answer: str) -> str:
    words = re.sub(f"[{re.escape(string.punctuation)}]", " ", answer.casefold()).split()
    return " ".join(word for word in words if word not in UNITS)
