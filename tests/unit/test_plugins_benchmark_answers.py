"""Yes and no, numbers, lists. Yes/no values by hand from VLMEvalKit smp/misc.py and utils/yorn.py at e8e78f0."""

from __future__ import annotations

import pytest

from curation_plugins.tasks.llava.benchmarks.answers import last_list, last_number, literal_texts, yes_or_no

YES_NO = [
    ("Yes", "Yes", "the word"),
    ("NO", "No", "in any case"),
    ("Yes, it is.", "Yes", "the comma touches a blank, so commas go"),
    ("Yes,it is", "Yes", "it touches none, so it becomes a blank"),
    ("No.", "No", "a period that touches no digit goes"),
    ("No.5", None, "one beside a digit stays: the word is 'no.5'"),
    ("yes.no", None, "the period goes: the word is 'yesno'"),
    ("yes/no", None, "the slash becomes a blank: both are said"),
    ("yes / no or yes/no", None, "a slash touches a blank, so all slashes go: 'yesno' and, apart, both"),
    ("yes/maybe /", None, "all slashes go: 'yesmaybe'"),
    ("1,000 times (yes)", "Yes", "a comma between digits makes every mark go; the word stays"),
    ("1,000:yes-man", None, "'yesman', since marks go"),
    ("answer:yes", None, "a colon is no mark"),
    ("**Yes**", None, "nor is an asterisk"),
    ("'yes'", None, "nor an apostrophe"),
    ("(yes)", "Yes", "brackets are"),
    ("not at all", None, "neither"),
    ("yes and no", None, "both"),
    ("yes yes yes", "Yes", "one of them, however often"),
    ("nope, yesterday", None, "whole words only"),
    ("", None, "nothing said"),
    ("a. " * 32 + "yes.", None, "only 32 periods go (a flag is passed as the count): 'yes.'"),
    ("a. " * 31 + "yes.", "Yes", "this one is the 32nd"),
]


@pytest.mark.parametrize(("answer", "expected", "why"), YES_NO, ids=[row[2] for row in YES_NO])
def test_yes_or_no(answer: str, expected: str | None, why: str) -> None:
    assert yes_or_no(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The answer is 14.", "14"),
        ("2 and 3 make 5", "5"),
        ("about 1,234.5 m", "1234.5"),
        ("-7 degrees", "-7"),
        ("−7 degrees", "-7"),
        ("from 3-5", "5"),
        (".5", ".5"),
        ("$1.45", "1.45"),
        ("50%", "50"),
        ("x2", None),
        ("v1.2.3", None),
        ("none", None),
        ("", None),
    ],
)
def test_the_last_number_of_an_answer(answer: str, expected: str | None) -> None:
    assert last_number(answer) == expected


def test_the_last_list_of_an_answer() -> None:
    assert last_list("first [1, 2] then [3, 4].") == "[3, 4]"
    assert last_list("[[1], [2]]") == "[2]"
    assert last_list("3, 4") is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("['a', 'b']", ["a", "b"]),
        ("[1, 2.5]", ["1", "2.5"]),
        ("[]", []),
        ("'a'", None),
        ("__import__('os')", None),
        ("[['a']]", None),
        ("[", None),
        ("[" * 10_000, None),
    ],
)
def test_lists_in_cells_are_literals_and_nothing_is_run(cell: str, expected: list[str] | None) -> None:
    assert literal_texts(cell) == expected
