"""MMStar, MMBench and MMMU: prompts, splits, circular copies, open questions. Expected values by hand from VLMEvalKit
dataset/utils/multiple_choice.py and dataset/image_mcq.py at e8e78f0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.benchmark import AnswersIncomplete, Scored
from curation_plugins.tasks.llava.benchmarks.mmbench import MMBench
from curation_plugins.tasks.llava.benchmarks.mmmu import MMMU
from curation_plugins.tasks.llava.benchmarks.mmstar import MMStar
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from made_benchmarks import encoded, item, write_tsv

RIGHT, WRONG, NONE = ItemScore.of(1), ItemScore.of(0), ItemScore.none("answer", "no option")


def _row(index: int, **fields: Any) -> dict[str, Any]:
    return {
        "index": index, "image": index, "question": "Which?", "hint": "", "answer": "A", "A": "cat", "B": "dog",
        "C": "", "category": "pets", "l2-category": "animals", "split": "dev", **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("prediction", "value"),
    [
        ("A", 1.0),
        ("cat", 1.0),
        ("B", 0.0),
        ("a dog", 0.0),
        ("Z", 0.0),
        ("cat and dog", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_an_unreadable_choice_is_unscored_and_never_guessed(prediction: str, value: float | None) -> None:
    asked = item("MMStar", options={"A": "cat", "B": "dog"}, answer="A")
    scores = {repr(MMStar().score(asked, prediction)) for _ in range(20)}
    assert len(scores) == 1
    score = MMStar().score(asked, prediction)
    assert score.value == value
    assert score.unscored == (None if value is not None else "answer")


def test_mmstar_counts_every_question(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(0), _row(1, answer="B"), _row(2, category="cars"), _row(3)])
    scorer = MMStar()
    items = list(scorer.items(source, tmp_path))
    scores = scorer.score_all(items, ["A", "cat", "A", "??"])
    total = scorer.aggregate(list(zip(items, scores, strict=True)))
    assert total.value == 2 / 4, "standard: what cannot be read counts as wrong"
    assert total.as_wrong == 2 / 4
    assert total.left_out == 2 / 3
    assert (total.items, total.unscored_answer, total.unscored_judge) == (4, 1, 0)
    assert total.breakdown == {"category/cars": 1.0, "category/pets": 1 / 3, "l2-category/animals": 0.5}


PROMPTS = {
    "dataset": "Hint: look\nQuestion: Which?\nOptions:\nA. cat\nB. dog\n"
    "Please select the correct answer from the options above. \n",
    "llava": "look\nWhich?\nA. cat\nB. dog\nAnswer with the option's letter from the given choices directly.",
    "qwen2-vl": "Hint: look\nQuestion: Which?\nOptions:\nA. cat\nB. dog\n"
    "Please select the correct answer from the options above.",
}


@pytest.mark.parametrize("style", PROMPTS)
def test_prompts_of_a_choice(tmp_path: Path, style: Any) -> None:
    source = write_tsv(tmp_path / "MMStar.tsv", [_row(0, hint="look")])
    [asked] = MMStar().items(source, tmp_path, style)
    assert asked.prompt == (0, PROMPTS[style])


CIRCULAR = [
    # scores of the copies, value of the question, and why
    ([RIGHT, RIGHT, RIGHT], 1.0, "all right"),
    ([RIGHT, WRONG, RIGHT], 0.0, "one wrong"),
    ([NONE, WRONG, RIGHT], 0.0, "one read as wrong decides, whatever the others are (L413-422)"),
    ([WRONG, NONE, NONE], 0.0, "also before unread ones"),
    ([RIGHT, RIGHT, NONE], None, "hangs on the unread one: wrong under exact matching (L553-558), here unscored"),
    ([NONE, NONE, NONE], None, "nothing read"),
]


@pytest.mark.parametrize(("scores", "value", "why"), CIRCULAR, ids=[row[2] for row in CIRCULAR])
def test_circular_copies(scores: list[ItemScore], value: float | None, why: str) -> None:
    names = ["7", "1000007", "2000007"]
    facts = {"question": "7", "copies": "3"}
    scored = [
        (item("MMBench", name, facts=facts, group="g"), score) for name, score in zip(names, scores, strict=True)
    ]
    for order in (scored, scored[::-1]):
        [unit] = MMBench().units(order)
        assert unit.value == value
    total = MMBench().aggregate(scored)
    assert total.value == (value or 0.0)
    assert total.left_out == value
    assert total.items == 3


def test_mmbench_from_its_file(tmp_path: Path) -> None:
    rows = [
        _row(3),
        _row(4, answer="B"),
        _row(1_000_003, image="3", A="dog", B="cat", answer="B"),
        _row(1_000_004, image="4", A="dog", B="cat"),
        _row(5, split="test"),
    ]
    scorer = MMBench()
    items = list(scorer.items(write_tsv(tmp_path / "MMBench.tsv", rows), tmp_path))
    assert [asked.item for asked in items] == ["3", "4", "1000003", "1000004"], "test answers are not public"
    scores = scorer.score_all(items, ["A", "B", "cat", "B"])  # 3: A right, cat right; 4: B right, B wrong
    total = scorer.aggregate(list(zip(items, scores, strict=True)))
    assert total.value == 1 / 2
    assert total.items == 4
    assert total.metrics == {"circular": 0.5}


def test_a_lost_copy_is_our_failure(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "MMBench.tsv", [_row(3), _row(1_000_003, image="3")])
    scorer = MMBench()
    items = list(scorer.items(source, tmp_path))
    scored: list[Scored] = [(items[0], RIGHT)]
    with pytest.raises(AnswersIncomplete, match="1 of 2 copies of question 3"):
        scorer.aggregate(scored)
    with pytest.raises(AnswersIncomplete, match="1 predictions for 2 items"):
        scorer.score_all(items, ["A"])


def test_an_index_of_words_has_no_copies(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "MMBench.tsv", [{**_row(3), "index": "three"}])
    with pytest.raises(AssetsInvalid, match="must be a whole number"):
        list(MMBench().items(source, tmp_path))


@pytest.mark.parametrize("kind", [MMStar, MMBench, MMMU])
def test_a_file_without_answers_cannot_be_scored(tmp_path: Path, kind: type[MMStar]) -> None:
    split = "validation" if kind is MMMU else "dev"
    with pytest.raises(AssetsInvalid, match="no answer"):
        list(kind().items(write_tsv(tmp_path / "X.tsv", [_row(0, answer="", split=split)]), tmp_path))


@pytest.mark.parametrize("kind", [MMStar, MMBench, MMMU])
def test_a_letter_without_an_option_is_refused_with_its_row(tmp_path: Path, kind: type[MMStar]) -> None:
    split = "validation" if kind is MMMU else "dev"
    rows = [_row(0, split=split), _row(1, split=split, answer="E")]
    with pytest.raises(AssetsInvalid, match="row with index 1: the answer is 'E', and the options are A, B"):
        list(kind().items(write_tsv(tmp_path / "X.tsv", rows), tmp_path))


def test_mmmu_counts_the_validation_split_only(tmp_path: Path) -> None:
    rows = [_row(0, split="dev"), _row(1, split="validation"), _row(2, split="validation")]
    items = list(MMMU().items(write_tsv(tmp_path / "MMMU.tsv", rows), tmp_path))
    assert [asked.item for asked in items] == ["1", "2"]
    with pytest.raises(AssetsInvalid, match="holds no item of MMMU"):
        list(MMMU().items(write_tsv(tmp_path / "MMMU.tsv", rows[:1]), tmp_path))


def test_mmmu_shows_images_where_the_text_names_them(tmp_path: Path) -> None:
    images = repr([encoded(1), encoded(2), encoded(3)])
    question = "Compare <image 2><image 1> with <image 2>."
    row = _row(0, split="validation", image=images, question=question)
    [asked] = MMMU().items(write_tsv(tmp_path / "MMMU.tsv", [row]), tmp_path)
    assert asked.prompt[:-1] == ("Question: Compare ", 1, "", 0, " with ", 1)
    assert asked.asked_images() == (asked.images[1], asked.images[0], asked.images[1]), "image 3 is not shown"
    assert asked.asked_text().startswith("Question: Compare \n\n with \n.\nOptions:\nA. cat\n")
    [first] = MMMU().items(write_tsv(tmp_path / "MMMU.tsv", [row]), tmp_path, "qwen2-vl")
    assert first.prompt[:3] == (0, 1, 2)
    assert question in str(first.prompt[3])


def test_mmmu_names_an_image_that_is_not_there(tmp_path: Path) -> None:
    row = _row(0, split="validation", question="See <image 2>")
    with pytest.raises(AssetsInvalid, match="row with index 0: the question names image 2 of 1"):
        list(MMMU().items(write_tsv(tmp_path / "MMMU.tsv", [row]), tmp_path))


OPEN = [
    # gold, prediction, value, and why
    ("diode", "It is a diode", 1.0, "A is the gold text (L66-68)"),
    ("diode", "Other Answers", 0.0, "B is 'Other Answers'"),
    ("diode", "a transistor", None, "neither: wrong under exact matching, here unscored"),
    ("diode", "A transistor", 1.0, "the article is taken for option A, as in VLMEvalKit: kept as it is"),
    ("B", "B", 1.0, "a gold answer of one capital letter stays the gold letter (L483)"),
    ("B", "A", 0.0, "and A is then wrong"),
    ("D", "d", 0.0, "text of option A, but the gold letter is D: kept as it is"),
    ("24/7", "24/7", 1.0, "a number as text"),
]


@pytest.mark.parametrize(("gold", "prediction", "value", "why"), OPEN, ids=[row[3] for row in OPEN])
def test_open_questions_of_mmmu(tmp_path: Path, gold: str, prediction: str, value: float | None, why: str) -> None:
    row = _row(0, split="validation", answer=gold, A="", B="")
    [asked] = MMMU().items(write_tsv(tmp_path / "MMMU.tsv", [row]), tmp_path)
    assert asked.prompt == (0, "Question: Which?\n"), "the two options are not shown"
    assert MMMU().score(asked, prediction).value == value


def test_a_question_of_mmmu_with_many_options(tmp_path: Path) -> None:
    row = _row(0, split="validation", answer="E", C="cow", D="eel", E="fox")
    [asked] = MMMU().items(write_tsv(tmp_path / "MMMU.tsv", [{**row}]), tmp_path)
    assert MMMU().score(asked, "E").value == 1
    assert MMMU().score(asked, "cow").value == 0
