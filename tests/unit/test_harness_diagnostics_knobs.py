"""Knobs of a policy: what of its code and data files counts as one, and data files made to stop the reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.diagnostics.knobs import MAX_DEPTH, changed_knobs, knobs, same_knobs
from made_tries import BAND, TryMaker

BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [*{p}, *{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def made(tmp_path: Path) -> TryMaker:
    return TryMaker(tmp_path)


def test_values_of_data_files_are_knobs_and_seeds_are_none(made):
    first = made.add(BAND, files={"knobs.yaml": "low: 0.25\nseed: 7\n"})
    reseeded = made.add(BAND, files={"knobs.yaml": "low: 0.25\nseed: 8\n"})
    tuned = made.add(BAND, files={"knobs.yaml": "low: 0.35\nseed: 7\n"})
    assert same_knobs(reseeded, first, rewritten=False)
    assert not same_knobs(tuned, first, rewritten=False)
    assert changed_knobs(tuned, first) == ["0.35 (not before)", "0.25 (gone)"]


@pytest.mark.parametrize("nested", ["[" * 5, "{a: " * 5], ids=["lists", "mappings"])
def test_yaml_up_to_the_depth_is_read_as_a_tree(made, nested):
    closing = {"[": "]", "{": "}"}[nested[0]] * 5
    assert "0.75" in knobs(made.add(BAND, files={"a.yaml": nested + "0.75" + closing}))


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 1) + "1" + "]" * (MAX_DEPTH + 1),
        "[" * 20_000,
        BOMB,
        "a: &a [*a]\n",
        "when: !!timestamp yesterday\n",
        "x: !!python/object/apply:os.system [ls]\n",
        "x: !!binary '!'\n",
    ],
    ids=["deep", "very-deep", "aliases", "itself", "tag-that-does-not-fit", "python-tag", "binary"],
)
def test_hostile_yaml_counts_as_the_text_it_is(made, text):
    found = knobs(made.add(BAND, files={"a.yaml": text}))
    assert found[repr(text)] == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "when: 2001-13-45\n"),
        ("a.yaml", "? [a, b]\n: 1\n"),
        ("a.yaml", "a: \x00\n"),
        ("a.json", "[" * 50_000),
        ("a.json", "[" + "9" * 5_000 + "]"),
        ("a.toml", "= = ="),
    ],
    ids=["no-date", "key-of-lists", "nul", "json-deep", "json-number", "toml"],
)
def test_a_data_file_that_cannot_be_read_counts_as_text(made, name, text):
    one = made.add(BAND, files={name: text})
    other = made.add(BAND, files={name: text + " "})
    assert same_knobs(one, one, rewritten=False)
    assert not same_knobs(one, other, rewritten=False)


def test_a_number_that_no_float_holds_is_a_knob(made):
    one, other = (made.add(BAND, files={"a.yaml": "n: 0x" + digit + "f" * 400}) for digit in "12")
    assert not same_knobs(one, other, rewritten=False)


def test_values_without_an_end_are_told_apart(made):
    one = made.add(BAND, files={"a.json": "[Infinity]"})
    other = made.add(BAND, files={"a.json": "[NaN]"})
    assert knobs(one) != knobs(other)
