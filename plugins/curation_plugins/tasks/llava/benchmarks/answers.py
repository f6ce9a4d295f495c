"""Reading a yes or no, a number, or a list out of an answer."""

from __future__ import annotations

import ast
import re
from typing import Literal

YesNo = Literal["Yes", "No"]

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_FREE_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_PERIODS = 32
"""VLMEvalKit passes `re.UNICODE` (32) where `re.sub` takes a count, so only so many periods go."""
_NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\.\d+|\d+)")
_LIST = re.compile(r"\[[^\[\]]*\]")


def without_punctuation(text: str) -> str:
    """Marks go where any of them stands at a blank, and become blanks where it does not.

    VLMEvalKit smp/misc.py L18-33. A mark that touches a blank anywhere in the text, or a comma between digits
    anywhere, decides for all marks of its kind (the comma: for all kinds). Colon, asterisk and apostrophe are not
    marks: "answer:yes" and "**Yes**" are not read as yes.
    """
    counted = _DIGIT_COMMA.search(text) is not None
    out = text
    for mark in _PUNCTUATION:
        glued = counted or f"{mark} " in text or f" {mark}" in text
        out = out.replace(mark, "" if glued else " ")
    return _FREE_PERIOD.sub("", out, count=_PERIODS)


def yes_or_no(answer: str) -> YesNo | None:
    """Which of the two words the answer holds; None if both or neither.

    VLMEvalKit dataset/utils/yorn.py L254-261, which says "Unknown" for None.
    """
    words = without_punctuation(answer.lower()).split()
    said = {"yes", "no"}.intersection(words)
    if said == {"yes"}:
        return "Yes"
    return "No" if said == {"no"} else None


def last_number(answer: str) -> str | None:
    """The last number in the text, without thousands commas; None if there is none.

    Our own rule for MathVista without a judge: its prompts ask for "the final value … at the end" (arXiv
    2310.02255, appendix on prompts).
    """
    found = _NUMBER.findall(answer)
    return found[-1].replace(",", "").replace("−", "-") if found else None


def last_list(answer: str) -> str | None:
    """The last bracketed list in the text; None if there is none. Our own rule, like `last_number`."""
    found = _LIST.findall(answer)
    return found[-1] if found else None


def literal_texts(text: str) -> list[str] | None:
    """A Python list of strings or numbers, as benchmark files write lists, as texts; None if it is anything else.

    VLMEvalKit runs `eval` on such cells; here only literals are read.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(entry, str | int | float) for entry in value):
        return None
    return [str(entry) for entry in value]
