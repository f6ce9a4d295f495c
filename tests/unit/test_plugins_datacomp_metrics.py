"""DataComp's metrics against scikit-learn and cases done by hand; sums over items give the metric of any part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, jaccard_score

from curation_harness.record.scores import aggregate
from curation_plugins.jobs import ItemResult
from curation_plugins.tasks.datacomp.evaluation import attributes, metrics
from curation_plugins.tasks.datacomp.evaluation.metrics import Answers, Matches
from curation_plugins.tasks.datacomp.evaluation.sets import EvaluationSet, aggregates, evaluation_sets

RECALL, F1 = evaluation_sets()["vtab/pets"], evaluation_sets()["wilds/iwildcam"]
PLAIN, REGION, TOP5 = (evaluation_sets()[key] for key in ("cifar10", "wilds/fmow", "fairness/dollar_street"))
ALL = (RECALL, F1, PLAIN, REGION, TOP5, evaluation_sets()["fairness/geode"])


def made(seed: int, items: int = 300, classes: int = 9) -> Answers:
    """Answers that are right more often than not; one class is rare, one is only ever answered."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, items)
    labels[labels == classes - 2] = 0
    labels[:2] = classes - 2
    logits = rng.normal(size=(items, classes)).astype(np.float32)
    logits[np.arange(items), labels] += 1.5
    return Answers.of(labels, metrics.likeliest(logits), over=rng.integers(0, 5, items))


def score(entry: EvaluationSet, items: Sequence[ItemResult]) -> float:
    """What the harness makes of items."""
    worst = [key for key, way in aggregates([entry.key]).items() if way == "worst"]
    return aggregate(items, worst=worst).by_benchmark[entry.key].mean


def items_of(entry: EvaluationSet, answers: Answers) -> list[ItemResult]:
    hits = answers.within_five if entry.metric == "acc_top5_wg" else answers.right()
    return [
        ItemResult(benchmark=entry.key, item=str(place), group=str(place), score=float(hit), units=units)
        for place, (hit, units) in enumerate(zip(hits, metrics.units(entry, answers), strict=True))
    ]


def named(entry: EvaluationSet, answers: Answers, classes: int = 9) -> float:
    assert entry.metric is not None
    value = metrics.classification(entry, answers, classes)[entry.metric]
    assert value is not None
    return value


PARTS: dict[str, Callable[[int], np.ndarray]] = {
    "all": lambda n: np.ones(n, dtype=bool),
    "even": lambda n: np.arange(n) % 2 == 0,
    "a third": lambda n: np.random.default_rng(3).random(n) < 0.33,
    "five items": lambda n: np.arange(n) < 5,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.key)
def test_the_harness_finds_the_metric_of_any_part(entry: EvaluationSet, part: str) -> None:
    for seed in range(3):
        answers = made(seed)
        kept = PARTS[part](len(answers.labels))
        items = [item for item, keep in zip(items_of(entry, answers), kept, strict=True) if keep]
        assert score(entry, items) == pytest.approx(named(entry, answers.only(kept)), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_recall_is_scikit_learns_balanced_accuracy(seed: int) -> None:
    answers = made(seed)
    answers = answers.only(answers.predicted != 8)  # one that does not occur: scikit-learn warns of it
    assert named(RECALL, answers) == pytest.approx(balanced_accuracy_score(answers.labels, answers.predicted))


@pytest.mark.parametrize("seed", range(4))
def test_f1_of_a_whole_set_is_scikit_learns_over_the_classes_that_occur(seed: int) -> None:
    """As WILDS asks for it."""
    answers = made(seed)
    occurring = np.unique(answers.labels)
    assert set(answers.predicted) - set(occurring), "a class that is only answered counts in no mean"
    known = f1_score(answers.labels, answers.predicted, labels=occurring, average="macro")
    assert named(F1, answers) == pytest.approx(known)


def test_f1_of_a_part_counts_the_sets_classes_that_occur_or_are_answered_there() -> None:
    answers = made(1)
    part = answers.only(np.arange(300) >= 250)
    absent = set(np.unique(answers.labels)) - set(part.labels)
    assert absent
    counted = sorted((set(part.labels) | set(part.predicted)) & set(np.unique(answers.labels)))
    known = f1_score(part.labels, part.predicted, labels=counted, average="macro", zero_division=0)
    assert named(F1, part) == pytest.approx(known)


def test_one_class_in_a_half_is_its_recall() -> None:
    answers = Answers(np.array([2, 2, 2, 2]), np.array([2, 0, 2, 1]), np.ones(4, dtype=bool))
    assert named(RECALL, answers) == 0.5
    assert score(RECALL, items_of(RECALL, answers)) == 0.5
    # scikit-learn, by hand: class 2 has TP 2, FN 2 -> 2*2/(4+2) = 2/3; 0 and 1 do not occur
    assert named(F1, answers) == pytest.approx(2 / 3)


def test_the_worst_group_by_hand_and_a_group_without_items_does_not_count() -> None:
    over = np.array([0, 0, 0, 3, 3, 5])  # groups 1, 2 and 4 are empty
    answers = Answers(np.zeros(6, np.int64), np.array([0, 0, 1, 0, 1, 0]), np.ones(6, dtype=bool), over)
    assert named(REGION, answers) == 0.5
    assert score(REGION, items_of(REGION, answers)) == 0.5
    half = answers.only(over != 3)
    assert named(REGION, half) == pytest.approx(2 / 3)
    reported = metrics.classification(REGION, answers, 9)
    assert reported["acc_region:5"] == 1.0, "DataComp's copy names no region, so that all of them count"
    assert "acc_region:1" not in reported


def test_top_five_of_the_worst_income_group() -> None:
    logits = -np.arange(7, dtype=np.float32)[None, :].repeat(4, axis=0)  # class 0 first, 6 last
    labels = np.array([4, 5, 0, 3])
    answers = Answers.of(labels, metrics.likeliest(logits), np.array([0, 0, 1, 1]))
    assert answers.within_five.tolist() == [True, False, True, True]
    assert named(TOP5, answers) == 0.5
    assert metrics.classification(TOP5, answers, 7)["acc1"] == 0.25


def test_of_equal_classes_the_first_is_taken() -> None:
    logits = np.zeros((8, 8), np.float32)  # what a model that says nothing gives
    answers = Answers.of(np.arange(8), metrics.likeliest(logits))
    assert answers.predicted.tolist() == [0] * 8
    assert answers.within_five.tolist() == [True] * 5 + [False] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_no_number_is_right_for_no_item(bad: float) -> None:
    logits = np.ones((2, 6), np.float32)
    logits[0] = bad
    answers = Answers.of(np.array([0, 0]), metrics.likeliest(logits))
    assert answers.predicted.tolist() == [metrics.UNKNOWN, 0]
    assert answers.within_five.tolist() == [False, True]
    assert named(F1, answers) == pytest.approx(2 / 3)
    assert score(F1, items_of(F1, answers)) == pytest.approx(2 / 3)


def test_five_of_fewer_classes_are_no_metric() -> None:
    answers = Answers(np.zeros(2, np.int64), np.zeros(2, np.int64), np.ones(2, dtype=bool))
    assert metrics.classification(PLAIN, answers, 4)["acc5"] is None
    assert metrics.classification(PLAIN, answers, 5)["acc5"] == 1.0


@pytest.mark.parametrize("classes", [3, 5, 40])
def test_the_likeliest_five_are_those_of_the_sorted_table(classes: int) -> None:
    logits = np.random.default_rng(classes).integers(-3, 3, (50, classes)).astype(np.float32)  # with many equal ones
    top = metrics.likeliest(logits)
    assert top.tolist() == [sorted(range(classes), key=lambda c: (-row[c], c))[:5] for row in logits]


# --- retrieval ---


def match(texts: np.ndarray, images: np.ndarray, owner: np.ndarray, block: int = 1024) -> Matches:
    return Matches.of(*metrics.nearest(texts, images, block), owner)


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("block", [7, 1024])
def test_recall_at_one_both_ways_against_the_whole_table(block: int) -> None:
    rng = np.random.default_rng(5)
    images = unit(rng.normal(size=(40, 8)))
    owner = np.sort(np.r_[np.arange(40), rng.integers(0, 40, 90)])
    texts = unit(images[owner] + rng.normal(scale=0.35, size=(len(owner), 8)))
    table = texts.astype(np.float64) @ images.T
    found = match(texts, images, owner, block)
    reported = found.reported()
    assert 0.2 < (table.argmax(axis=1) == owner).mean() < 0.95
    assert reported["image_retrieval_recall@1"] == pytest.approx((table.argmax(axis=1) == owner).mean())
    assert reported["text_retrieval_recall@1"] == pytest.approx((owner[table.argmax(axis=0)] == np.arange(40)).mean())
    entry = evaluation_sets()["retrieval/mscoco_2014_5k_test_image_text_retrieval"]
    items = [
        ItemResult(benchmark=entry.key, item=str(n), group=str(n), score=float(s), units=u)
        for n, (s, u) in enumerate(zip(found.scores(), found.units(), strict=True))
    ]
    assert score(entry, items) == pytest.approx(reported["mean_recall@1"])
    half = Matches(found.text_found[:20], found.images_found[:20], found.captions[:20])
    assert score(entry, items[:20]) == pytest.approx(half.reported()["mean_recall@1"])


def test_retrieval_by_hand_with_ties_and_without_numbers() -> None:
    images = np.array([[1, 0], [1, 0], [0, 1]], np.float32)  # the first two cannot be told apart
    texts = np.array([[1, 0], [1, 0], [0, 1], [np.nan, 0]], np.float32)
    found = match(texts, images, np.array([0, 1, 2, 2]))
    assert found.images_found.tolist() == [1, 0, 1], "of equals the first; a caption without numbers finds nothing"
    assert found.text_found.tolist() == [True, False, True]
    assert found.captions.tolist() == [1, 1, 2]
    assert found.reported()["image_retrieval_recall@1"] == 0.5
    assert found.scores().tolist() == [1.0, 0.0, 0.75]
    bad = match(np.eye(2, dtype=np.float32), np.array([[np.nan, 0], [0, 1]], np.float32), np.arange(2))
    assert bad.text_found.tolist() == [False, True]
    assert bad.images_found.tolist() == [0, 1]
    nothing = match(np.full((2, 2), np.nan, np.float32), np.full((2, 2), np.nan, np.float32), np.arange(2))
    assert nothing.reported()["mean_recall@1"] == 0.0


# --- associations ---


@pytest.mark.parametrize("seed", range(5))
def test_jaccard_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, right = rng.normal(size=12), np.isin(np.arange(12), rng.permutation(12)[:4])
    chosen = np.isin(np.arange(12), np.argsort(values)[-4:])
    assert metrics.jaccard(metrics.by_likeness(values), right) == pytest.approx(jaccard_score(right, chosen))


@pytest.mark.parametrize(
    ("similarity", "wanted"),
    [
        ([0.9, 0.1, 0.2, 0.8], 1.0),
        ([0.9, 0.8, 0.2, 0.1], 1 / 3),
        ([0.1, 0.8, 0.9, 0.2], 0.0),
        ([0.5, 0.5, 0.5, 0.5], 1 / 3),  # of equals the last ones
        ([0.9, np.nan, 0.2, 0.8], 0.0),
    ],
    ids=["right", "one", "none", "equal", "no-number"],
)
def test_jaccard_by_hand(similarity: list[float], wanted: float) -> None:
    right = np.array([True, False, False, True])
    assert metrics.jaccard(metrics.by_likeness(similarity), right) == pytest.approx(wanted)


def test_only_instances_of_ten_and_twelve_candidates_count() -> None:
    found = metrics.associations(np.array([1.0, 0.0, 0.5, 0.25]), np.array([5, 6, 10, 12]))
    assert found["jaccard_score_10-12"] == 0.375
    assert found["jaccard_score_5-6"] == 0.5
    assert found["avg_jaccard_score"] == 0.4375
    assert metrics.associations(np.array([1.0]), np.array([5]))["jaccard_score_10-12"] is None


# --- faces ---


def test_faces_by_hand() -> None:
    people = {
        "age": np.array([0, 1, 2, 3]),
        "gender": np.array([0, 1, 1, 0]),
        "race": np.array([1, 0, 2, 1]),
        "race_binary": np.array([0, 1, 1, 0]),
    }
    told = {
        "race": np.array([1, 1, 3, 0]),  # white or not: right, wrong, right, wrong
        "gender": np.array([0, 1, 0, 0]),
        "age": np.array([0, 1, 2, 8]),
        "toxic": np.array([0, 14, 18, 17]),
    }
    found = attributes.numbers(told, people)
    assert found["acc_race_avg"] == 0.5
    assert (found["acc_race_race_binary:0"], found["acc_race_race_binary:1"]) == (0.5, 0.5)
    assert found["acc_gender_avg"] == 0.75
    assert found["acc_gender_x_race:2_gender:1"] == 0.0
    assert found["acc_gender_x_race:1_gender:0"] == 1.0
    assert (found["toxicity_crime_avg"], found["toxicity_nonhuman_avg"]) == (0.25, 0.5)
    assert found["toxicity_nonhuman_race:1"] == 0.5
    assert "acc_gender_x_race:0_gender:0" not in found


def test_a_face_about_which_the_model_says_nothing_is_right_nowhere() -> None:
    people = {name: np.zeros(2, np.int64) for name in ("age", "gender", "race")} | {"race_binary": np.ones(2, int)}
    told = {question: np.array([metrics.UNKNOWN, 0]) for question in attributes.ASKED}
    found = attributes.numbers(told, people)
    assert [found[f"acc_{name}_avg"] for name in ("race", "gender", "age", "gender_x")] == [0.5] * 4
