"""Which option an answer means. Expected values by hand from VLMEvalKit utils/matching_util.py at e8e78f0."""

from __future__ import annotations

import pytest

from curation_plugins.tasks.llava.benchmarks.options import chosen_option, option_by_letter, option_by_text

PETS = {"A": "cat", "B": "dog", "C": "horse", "D": "brown bear"}

LETTERS = [
    ("B", "B", "the letter alone"),
    ("B.", "B", "a mark beside it becomes a blank (L42-45)"),
    ("(B)", "B", "brackets likewise"),
    ("**B**", "B", "asterisks likewise"),
    ("{B}#!", "B", "all listed marks do"),
    ("B: dog", "B", "first of two words"),
    ("Option B is the right one", None, "second of six: index 1 is not > 6-5 (L56)"),
    ("b", None, "letters are capital"),
    ("B-", None, "a dash is no blanked mark: the word is 'B-'"),
    ("'B'", None, "nor is an apostrophe"),
    ("A or B", None, "two letters: not exactly one (L48)"),
    ("B B B", "B", "one letter, however often"),
    ("I say B because it barks loudly at night", None, "B is third of nine: not among the last four"),
    ("it barks so I say B", "B", "sixth of six"),
    ("x x B x x x", "B", "third of six: index 2 > 1"),
    ("x B x x x x", None, "second of six: index 1 is not > 1"),
    ("B it barks and so it is B", None, "the *first* B counts (`index`)"),
    ("A dog is seen here", None, "'A' is a letter as well, first of five: index 0 is not > 0"),
    ("A big dog here", "A", "the article is taken for option A: first of four"),
    ("E", None, "no such option"),
    ("Z", "Z", "says the letter of none (L59-60)"),
    ("I choose Z", "Z", "anywhere"),
    ("Z and B", "B", "an option letter comes before Z: count is 1"),
    ("Cannot determine the answer", "Z", "a known refusal (L24-31)"),
    ("Cannot determine the answer, maybe B", "Z", "a refusal wins over a letter"),
    ("I can't process this file.", "Z", "another refusal"),
    ("The correct answer is **C**. Here is why: it has a mane and four hooves", "C", "'answer is X' (L63-66)"),
    ("My answer is c since it neighs and gallops off", "C", "in either case"),
    ("A and B look alike but the answer is D for its coat and size", "D", "also with several letters"),
    ("the answer is brown fur all over and all around", "B", "the first letter of a word is taken: kept as it is"),
    ("", None, "nothing said"),
]


@pytest.mark.parametrize(("answer", "expected", "why"), LETTERS, ids=[row[2] for row in LETTERS])
def test_option_letters(answer: str, expected: str | None, why: str) -> None:
    assert option_by_letter(answer, PETS) == expected


TEXTS = [
    ("It is a dog", "B", "one option's text is contained"),
    ("DOG", "B", "case is ignored"),
    ("dogged", "B", "parts of words count"),
    ("cat or dog", None, "two texts: not exactly one"),
    ("a lizard", None, "none"),
    ("the brown bear", "D", "a text of two words"),
    ("a bear that is brown", None, "but not in another order"),
    ("dog" + "!" * 39, "B", "42 characters: not longer than 2 x (3+3+5+10) = 42"),
    ("dog" + "!" * 40, None, "43 characters are"),
    ("", None, "nothing said"),
]


@pytest.mark.parametrize(("answer", "expected", "why"), TEXTS, ids=[row[2] for row in TEXTS])
def test_option_texts(answer: str, expected: str | None, why: str) -> None:
    assert option_by_text(answer, PETS) == expected


def test_a_letter_is_looked_for_before_a_text() -> None:
    assert chosen_option("C, not a dog", PETS) == "C"
    assert chosen_option("a dog", PETS) == "B"
    assert chosen_option("neither", PETS) is None


def test_option_texts_of_several_options_may_lie_in_each_other() -> None:
    counts = {"A": "1", "B": "10", "C": "100"}
    assert chosen_option("10", counts) is None  # "1" and "10" are both contained
    assert chosen_option("1", counts) == "A"


def test_answer_is_x_takes_only_options_that_are_there() -> None:
    assert option_by_letter("the answer is D of course, as everybody in the room knows", {"A": "x", "B": "y"}) is None
