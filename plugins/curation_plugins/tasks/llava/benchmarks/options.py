"""Which option an answer means: by letter, by "answer is X", or by the option's text.

Exact matching only. What cannot be read is None: VLMEvalKit then asks a judge, and after three failures picks an
option at random, or, without a judge, counts the item as wrong (dataset/utils/multiple_choice.py L402-405, L382-383).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NO_OPTION = "Z"
"""The answer chooses none: it refuses, or says the letter Z. Wrong, but read."""

_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BLANKED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST = 4
_ANSWER_IS = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")


def chosen_option(answer: str, options: Mapping[str, str]) -> str | None:
    """An option's letter, `NO_OPTION`, or None if the answer cannot be read (VLMEvalKit utils/matching_util.py
    L124-127)."""
    return option_by_letter(answer, options) or option_by_text(answer, options)


def option_by_letter(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter said, if it is exactly one.

    VLMEvalKit utils/matching_util.py L18-61, in this order:

    1. one of four known refusals anywhere -> `NO_OPTION`;
    2. marks become blanks; if exactly one option letter is a word of its own (capital, however often) and its *first*
       place is among the last four words, that one;
    3. no option letter but the word Z -> `NO_OPTION`;
    4. otherwise the first "answer is X", X one of A-D in either case, if X is an option. Nothing is asked of what
       follows X, so "the answer is brown" is read as B.

    Its guard against the article "A" works only under the environment variable VERBOSE and is left out.
    """
    if any(refusal in answer for refusal in _REFUSALS):
        return NO_OPTION
    words = answer.translate(_BLANKED).split()
    said = [letter for letter in options if letter in words]
    if len(said) == 1:
        if words.index(said[0]) >= len(words) - _LAST:
            return said[0]
    elif not said and NO_OPTION in words:
        return NO_OPTION
    match = _ANSWER_IS.search(answer)
    return match[1].upper() if match and match[1].upper() in options else None


def option_by_text(answer: str, options: Mapping[str, str]) -> str | None:
    """The only option whose text the answer holds, case ignored; None if several or none do.

    VLMEvalKit utils/matching_util.py L107-121. An answer longer than twice all option texts together is not searched.
    """
    lowered = answer.lower()
    if len(lowered) > 2 * sum(len(text) for text in options.values()):
        return None
    said = [letter for letter, text in options.items() if text.lower() in lowered]
    return said[0] if len(said) == 1 else None
