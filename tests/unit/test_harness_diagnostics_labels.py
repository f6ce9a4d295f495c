"""One label an attempt, by the definitions of ``docs/diagnostics.md``."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.diagnostics.labels import LINES_ALIKE, label
from curation_harness.diagnostics.mechanisms import mechanisms
from made_tries import BAND, QUOTA, RANDOM, SPREAD, SPREAD_IN_BAND, TryMaker, whole


@pytest.fixture
def made(tmp_path: Path) -> TryMaker:
    return TryMaker(tmp_path)


def labelled(made: TryMaker):
    return label(made.tries[-1], made.tries[:-1])


@pytest.mark.parametrize(
    ("first", "expected"),
    [(RANDOM, "baseline"), (QUOTA, "baseline"), (BAND, "new family"), (SPREAD, "new family")],
    ids=["random", "quota", "band", "spread"],
)
def test_a_plain_first_attempt_is_a_baseline_and_any_other_a_new_family(made, first, expected):
    made.add(first)
    assert labelled(made).label == expected


def test_another_number_is_local_tuning_and_names_it(made):
    made.add(QUOTA)
    made.add(BAND)
    made.add(BAND.replace("0.1, 0.6", "0.15, 0.55"))
    found = labelled(made)
    assert (found.label, found.shallow, found.parents) == ("local tuning", True, (2,))
    assert any("0.15" in said for said in found.evidence)


def test_only_another_seed_is_a_rerun(made):
    made.add(BAND)
    made.add(BAND.replace("rng.choice(", "np.random.default_rng(77).choice("))
    assert labelled(made).label == "seed or rerun"


def test_a_renamed_copy_split_into_functions_is_a_rerun(made):
    made.add(BAND, rows=range(100))
    copy = """
WINDOW = (0.1, 0.6)

def quantities(place):
    return column(place, "answer_loss")

def window(numbers):
    floor, ceiling = np.quantile(numbers, list(WINDOW))
    return [row for row in range(len(numbers)) if floor <= numbers[row] <= ceiling]

def select(place, unused, dice):
    \"\"\"A wholly novel idea: the informative middle.\"\"\"
    return dice.choice(window(quantities(place)), 100, replace=False)
"""
    made.add(copy, rows=range(100))
    assert labelled(made).label == "seed or rerun"


def test_code_that_selects_the_same_rows_is_a_rerun_however_it_is_written(made):
    made.add(SPREAD, rows=range(100))
    again = """
def select(pool, history, rng):
    points = vectors(pool)
    squares = (points ** 2).sum(axis=1)
    taken = [int(rng.integers(len(points)))]
    gaps = squares + squares[taken[0]] - 2 * points @ points[taken[0]]
    for _ in range(99):
        far = int(np.argmax(gaps))
        taken.append(far)
        gaps = np.minimum(gaps, squares + squares[far] - 2 * points @ points[far])
    return taken
"""
    made.add(again, rows=range(100))
    assert labelled(made).label == "seed or rerun"


def test_a_metadata_threshold_added_is_local_tuning(made):
    made.add(BAND)
    made.add(BAND.replace("(loss <= top)", '(loss <= top) & (column(pool, "answer_chars") < 40)'))
    assert labelled(made).label == "local tuning"


def test_another_signal_in_the_same_code_is_an_adaptation(made):
    made.add(BAND)
    made.add(BAND.replace('"answer_loss"', '"similarity"'))
    found = labelled(made)
    assert (found.label, found.shallow, found.family) == ("adaptation", False, "score-rank")


def test_a_mechanism_of_another_family_is_new(made):
    made.add(QUOTA)
    made.add(BAND)
    made.add(SPREAD)
    found = labelled(made)
    assert (found.label, found.family, found.parents) == ("new family", "coverage", ())


def test_two_earlier_mechanisms_in_sequence_are_a_recombination_with_both_as_parents(made):
    made.add(BAND)
    made.add(SPREAD)
    made.add(SPREAD_IN_BAND)
    found = labelled(made)
    assert found.label == "recombination"
    assert set(found.parents) == {1, 2}


def test_the_same_without_one_of_its_parents_before_it_is_none(made):
    made.add(BAND)
    made.add(SPREAD_IN_BAND)
    assert labelled(made).label != "recombination"


@pytest.mark.parametrize("outcome", ["refused", "failed"])
def test_what_was_meant_by_a_try_that_came_to_nothing_is_a_repair(made, outcome):
    made.add(QUOTA)
    made.add(SPREAD, outcome=outcome, problems=("unknown-row: row 9000 is not in the pool",))
    made.add(SPREAD.replace("< 100", "< 99"))
    found = labelled(made)
    assert (found.label, found.shallow) == ("repair", False)
    assert any("row 9000" in said for said in found.evidence)


def test_a_repair_of_tuning_is_shallow(made):
    made.add(BAND)
    made.add(BAND.replace("0.6", "0.7"), outcome="refused", problems=("too-many-rows: …",))
    made.add(BAND.replace("0.6", "0.7").replace("100", "90"))
    assert (labelled(made).label, labelled(made).shallow) == ("repair", True)


def test_a_repair_of_code_that_could_not_be_parsed_is_told_by_its_text(made):
    made.add(QUOTA)
    made.add(whole(BAND) + "\ndef broken(:\n", outcome="refused", is_whole=True)
    made.add(BAND)
    assert labelled(made).label == "repair"


def test_of_long_texts_the_beginning_is_compared(made):
    shared = "".join(f"x{n} = {n}\n" for n in range(LINES_ALIKE))
    tail = whole(BAND)
    made.add(shared + "x0 = 0\n" * 3_000 + "def (:\n", outcome="refused", is_whole=True)
    made.add(shared + tail, is_whole=True)
    found = labelled(made)
    assert found.label == "repair"
    assert any("100% of the text" in said for said in found.evidence)


def test_another_idea_after_a_refusal_is_no_repair(made):
    made.add(QUOTA)
    made.add(BAND, outcome="refused")
    made.add(SPREAD)
    assert labelled(made).label == "new family"


def test_a_refused_idea_was_not_had_before(made):
    made.add(QUOTA)
    made.add(SPREAD, outcome="refused")
    made.add(BAND)
    made.add(SPREAD)
    assert labelled(made).label == "new family"


def test_code_that_cannot_be_read_gets_no_label_but_a_reason(made):
    made.add("def broken(:\n", is_whole=True)
    found = labelled(made)
    assert found.label == "unreadable"
    assert "policy.py" in found.evidence[0]


LENGTHS = """
def select(pool, history, rng):
    with open(Path(pool) / "rows.jsonl") as lines:
        texts = [json.loads(line)["conversations"][1]["value"] for line in lines]
    return np.argsort([len(set(text.split())) for text in texts])[:100]
"""


@pytest.mark.parametrize(
    "said",
    ["# no jaccard here\n", '"""Shares len(a & b) of jaccard."""\n', "# len(" + "&" * 100_000 + "\n"],
    ids=["comment", "docstring", "comment-that-takes-long"],
)
def test_what_comments_say_decides_nothing(made, said):
    plain = made.add(LENGTHS)
    spoken = made.add(said + whole(LENGTHS), is_whole=True)
    assert mechanisms(spoken).bulk == mechanisms(plain).bulk == "threshold"


@pytest.mark.parametrize(
    "before", ["".join(f"# {'x' * 98}\n" for _ in range(1_100)), "\ufeff"], ids=["long", "byte-order-mark"]
)
def test_knobs_are_seen_behind_whatever_stands_before_the_code(made, before):
    made.add(before + whole(BAND), is_whole=True)
    made.add(before + whole(BAND.replace("0.1, 0.6", "0.2, 0.7")), is_whole=True)
    assert labelled(made).label == "local tuning"


def test_labels_are_a_function_of_what_came_before_alone(made):
    for body in (QUOTA, BAND, SPREAD, SPREAD_IN_BAND):
        made.add(body)
    once = [label(one, made.tries[: one.place]) for one in made.tries]
    assert once == [label(one, made.tries[: one.place]) for one in made.tries]
