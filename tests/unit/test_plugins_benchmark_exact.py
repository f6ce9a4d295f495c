"""OCRBench and HallusionBench. Expected values by hand from VLMEvalKit dataset/image_vqa.py L508-569 and
dataset/utils/yorn.py L96-145 at e8e78f0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.benchmarks.hallusionbench import HallusionBench
from curation_plugins.tasks.llava.benchmarks.ocrbench import FORMULAS, OCRBench
from curation_plugins.tasks.llava.benchmarks.score import ItemScore
from made_benchmarks import item, write_tsv

PLAIN = "Regular Text Recognition"

OCR = [
    # category, gold list, prediction, value, and why
    (PLAIN, "['STOP']", "the sign says stop.", 1.0, "case is ignored, the gold is contained"),
    (PLAIN, "['STOP']", "s t o p", 0.0, "blanks count"),
    (PLAIN, "['two words']", "Two\nwords", 1.0, "a line break is a blank"),
    (PLAIN, "['two\\nwords']", "two words", 1.0, "in the gold too"),
    (PLAIN, "['  edge  ']", "edge", 1.0, "the gold's ends are stripped"),
    (PLAIN, "['one', 'two']", "it is two", 1.0, "any of the list"),
    (PLAIN, "['one', 'two']", "three", 0.0, "none of the list"),
    (PLAIN, "['art']", "party", 1.0, "parts of words count"),
    (PLAIN, "['x']", "", 0.0, "an empty answer is wrong, not unscored"),
    (FORMULAS, "['a + b']", "it is a+b", 1.0, "HME: blanks go in the gold"),
    (FORMULAS, "['a+b']", "a  +\nb", 1.0, "and blanks and breaks in the answer"),
    (FORMULAS, "['A+b']", "a+b", 0.0, "but case counts"),
    (FORMULAS, "['x^{2}', 'x^2']", "x ^ 2", 1.0, "any of the list"),
]


@pytest.mark.parametrize(("category", "gold", "prediction", "value", "why"), OCR, ids=[row[4] for row in OCR])
def test_ocrbench(category: str, gold: str, prediction: str, value: float, why: str) -> None:
    asked = item("OCRBench", answer=gold, facts={"category": category})
    assert OCRBench().score(asked, prediction).value == value


def test_ocrbench_is_hits_over_questions(tmp_path: Path) -> None:
    golds = [
        (PLAIN, "['a1']"),
        ("Handwriting Recognition", "['a2']"),
        (FORMULAS, "['a3']"),
        ("Doc-oriented VQA", "['a4']"),
    ]
    rows = [
        {"index": n, "image": n, "question": "What?", "answer": gold, "category": category}
        for n, (category, gold) in enumerate(golds)
    ]
    scorer = OCRBench()
    items = list(scorer.items(write_tsv(tmp_path / "OCRBench.tsv", rows), tmp_path))
    total = scorer.aggregate(list(zip(items, scorer.score_all(items, ["a1", "no", "a 3", "a4"]), strict=True)))
    assert total.value == 3 / 4
    assert total.value == total.as_wrong == total.left_out
    assert total.breakdown["table/Text Recognition"] == 1 / 2
    assert total.breakdown[f"table/{FORMULAS}"] == 1
    assert total.breakdown["category/Handwriting Recognition"] == 0


@pytest.mark.parametrize("answer", ["STOP", "'STOP'", "[", "[['a']]"])
def test_an_ocr_answer_that_is_no_list(tmp_path: Path, answer: str) -> None:
    row = {"index": 1, "image": 1, "question": "What?", "answer": answer, "category": PLAIN}
    with pytest.raises(AssetsInvalid, match="row with index 1: the answer is no list"):
        list(OCRBench().items(write_tsv(tmp_path / "OCRBench.tsv", [row]), tmp_path))


def _question(category: str, kind: str, place: str, gold: str = "Yes") -> dict[str, Any]:
    return {
        "index": f"{category}_{kind}_1_{place}", "image": len(place), "question": "Is it?", "answer": gold,
        "category": category, "l2-category": kind,
    }  # fmt: skip


# Set 0 has two figures (0, 1) and two questions (0, 1) about each; set 1 one of each. "U" is an unreadable answer.
#   set_figure_question   answer   aAcc   figure (fAcc)   question (qAcc)
#   0_0_0                 right    1      f00             q00
#   0_0_1                 right    1      f00 = 1         q01
#   0_1_0                 right    1      f01             q00 = 1
#   0_1_1                 wrong    0      f01 = 0         q01 = 0
#   1_0_0                 U        -      f10 = -         q10 = -
#   ocr 0_0_0 of VD and of VS: right, wrong: one figure and one question between them, both 0
HALLUSION = [
    ("VD", "chart", "0_0_0", "Yes"),
    ("VD", "chart", "0_0_1", "Yes"),
    ("VD", "chart", "0_1_0", "Yes"),
    ("VD", "chart", "0_1_1", "No"),
    ("VD", "chart", "1_0_0", "hard to say"),
    ("VD", "ocr", "0_0_0", "Yes"),
    ("VS", "ocr", "0_0_0", "No"),
]


def _hallusion(tmp_path: Path) -> list[tuple[Any, ItemScore]]:
    rows = [_question(category, kind, place) for category, kind, place, _ in HALLUSION]
    scorer = HallusionBench()
    items = list(scorer.items(write_tsv(tmp_path / "HallusionBench.tsv", rows), tmp_path))
    return list(zip(items, scorer.score_all(items, [answer for *_, answer in HALLUSION]), strict=True))


def test_hallusionbench_is_the_mean_of_three(tmp_path: Path) -> None:
    total = HallusionBench().aggregate(_hallusion(tmp_path))
    # aAcc: right are 3 + 1 of 7; fAcc: f00 of f00 f01 f10 ocr; qAcc: q00 of q00 q01 q10 ocr
    assert total.metrics == {"aAcc": 4 / 7, "fAcc": 1 / 4, "qAcc": 1 / 4}
    assert total.value == pytest.approx((4 / 7 + 1 / 4 + 1 / 4) / 3)
    assert total.as_wrong == total.value
    # left out: 4 of 6; f00 of f00 f01 ocr; q00 of q00 q01 ocr
    assert total.left_out == pytest.approx((4 / 6 + 1 / 3 + 1 / 3) / 3)
    assert total.unscored_answer == 1


def test_hallusionbench_by_category_counts_figures_within_it(tmp_path: Path) -> None:
    parts = HallusionBench().aggregate(_hallusion(tmp_path)).breakdown
    assert parts["category/VS"] == 0
    assert parts["l2-category/ocr"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    # VD alone: 4 of 6 right; f00 and ocr of f00 f01 f10 ocr; q00 and ocr of q00 q01 q10 ocr
    assert parts["category/VD"] == pytest.approx((4 / 6 + 2 / 4 + 2 / 4) / 3)


@pytest.mark.parametrize(
    ("gold", "prediction", "value"),
    [
        ("Yes", "Yes.", 1.0),
        ("No", "no", 1.0),
        ("Yes", "No, it is not", 0.0),
        ("Yes", "yes or no", None),
        ("No", "", None),
    ],
)
def test_an_unreadable_yes_or_no_is_unscored(gold: str, prediction: str, value: float | None) -> None:
    score = HallusionBench().score(item("HallusionBench", answer=gold), prediction)
    assert (score.value, score.unscored) == (value, "answer" if value is None else None)


def test_hallusionbench_asks_the_bare_question(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "HallusionBench.tsv", [_question("VD", "chart", "0_0_0")])
    assert next(HallusionBench().items(source, tmp_path)).prompt == (0, "Is it?")
    asked = next(HallusionBench().items(source, tmp_path, "qwen2-vl"))
    assert asked.prompt == (0, "Is it? Please answer yes or no.")


def test_an_index_without_set_and_figure(tmp_path: Path) -> None:
    row = {**_question("VD", "chart", "0_0_0"), "index": "VD_chart_7"}
    with pytest.raises(AssetsInvalid, match="row with index VD_chart_7"):
        list(HallusionBench().items(write_tsv(tmp_path / "HallusionBench.tsv", [row]), tmp_path))
