"""What items add up to by group: unscored ones, metrics that are no mean, ratios, and the table they are kept in."""

from __future__ import annotations

import random

import pytest

from curation_harness.errors import ReferencesInvalid
from curation_harness.record.scores import aggregate
from curation_harness.record.sums import pack, same_items, unpack, whole
from curation_harness.record.tallies import tally
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult, ItemUnit
from curation_plugins.tasks.llava.benchmarks.registry import benchmark
from curation_plugins.tasks.llava.results import results
from made_benchmarks import item as made_item
from made_tallies import halves, item

# -- sums by group ---------------------------------------------------------------------------------


def test_a_judges_silence_is_left_out_and_an_unreadable_answer_is_wrong() -> None:
    found = aggregate(
        [
            item("1", 1.0, "g"),
            item("2", None, "h", unscored="answer", reason="no option was named"),
            item("3", None, "i", unscored="judge"),
            item("4", 1.0, "j"),
        ]
    )
    assert found.mean == pytest.approx(2 / 3)
    assert found.n == 3
    assert found.unscored["b"].answer == found.unscored["b"].judge == 1


def test_a_benchmark_of_which_nothing_could_be_scored_is_our_failure() -> None:
    with pytest.raises(WorkerReplyInvalid, match="no item of b could be scored"):
        aggregate([item("1", None, unscored="judge")])


def test_the_mean_without_those_a_judge_grades() -> None:
    items = [item("1", 1.0, benchmark="graded"), item("2", 0.0, "h", benchmark="plain")]
    found = aggregate(items, graded=["graded"])
    assert found.mean == 0.5
    assert found.without_judge is not None
    assert (found.without_judge.mean, found.without_judge.n) == (0.0, 1)
    assert aggregate(items).without_judge is None


def test_a_benchmark_of_several_metrics_is_their_mean() -> None:
    """Two questions on one figure: each counts for aAcc, both together once for fAcc."""
    both = (ItemUnit(metric="aAcc", value=1.0), ItemUnit(metric="fAcc", value=0.0))
    items = [item("1", 1.0, units=both), item("2", 0.0, units=(ItemUnit(metric="aAcc", value=0.0),))]
    assert aggregate(items).by_benchmark["b"].mean == pytest.approx((0.5 + 0.0) / 2)


def test_a_ratio_of_sums_has_the_linearised_error() -> None:
    """By hand: R = 3/6; influences (1 − 0.5·1)/6, (2 − 0.5·5)/6; √(2/1 · (0.25 + 0.25)/36) = 1/6."""
    first = (ItemUnit(metric="m", value=1.0, base=1.0),)
    second = (ItemUnit(metric="m", value=2.0, base=5.0),)
    found = aggregate([item("1", 1.0, "g", units=first), item("2", 0.4, "h", units=second)])
    assert found.mean == pytest.approx(0.5)
    assert found.stderr == pytest.approx(1 / 6)


def test_a_base_that_is_not_known_is_the_mean_of_the_known_ones() -> None:
    units = [
        (ItemUnit(metric="m", value=1.0, base=2.0),),
        (ItemUnit(metric="m", value=None, base=None, unscored="answer"),),
    ]
    found = tally([item(str(k), 1.0, f"g{k}", units=unit) for k, unit in enumerate(units)])
    assert found.cells["b"]["m"]["g1"] == (0.0, 2.0)


@pytest.mark.parametrize("fields", [{"score": None}, {"score": 1.0, "unscored": "judge"}])
def test_an_item_has_a_score_or_a_fault(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either a number or a fault"):
        ItemResult.model_validate({"benchmark": "b", "item": "1", "group": "g", **fields})


# -- tables ----------------------------------------------------------------------------------------


def test_sums_survive_the_table() -> None:
    arms = {"random": [halves([1, 0, 0.5]), halves([1, 1, 1 / 3], left_out=True)], "base": [halves([0, 0, 0])]}
    packed = pack(arms)
    assert type(packed).model_validate_json(packed.model_dump_json()) == packed
    assert list(packed.other_bases) == ["random"]
    again = unpack(packed)
    for name, seeds in arms.items():
        for one, other in zip(seeds, again[name], strict=True):
            assert same_items(one, other)
            for half in ("public", "sealed"):
                assert other[half].score("b") == pytest.approx(one[half].score("b"), rel=1e-11)


def test_arms_on_other_items_do_not_make_a_table() -> None:
    with pytest.raises(ReferencesInvalid, match="full was scored on other items"):
        pack({"base": [halves([0, 0, 0])], "full": [halves([0, 0, 0, 1, 1])]})


def test_a_damaged_table_says_so() -> None:
    packed = pack({"base": [halves([0, 1, 0])]})
    column = {"public": {"b": {"score": "1"}}, "sealed": {"b": {"score": "1 1"}}}
    with pytest.raises(ReferencesInvalid, match="do not fit together"):
        unpack(packed.model_copy(update={"values": {"base": (column,)}}))


def test_the_whole_is_both_halves_items() -> None:
    one = [item(str(k), value, f"p{k}") for k, value in enumerate([1, 1, 1, 0])]
    other = [item(str(k), value, f"s{k}") for k, value in enumerate([0, 0])]
    both = whole({"public": tally(one), "sealed": tally(other)})
    assert both.score("b") == pytest.approx(aggregate([*one, *other]).mean) == pytest.approx(0.5)


# -- benchmarks whose score is no mean over items --------------------------------------------------


def test_the_sums_of_an_item_file_give_the_benchmarks_own_score() -> None:
    """HallusionBench by its own code, and by what its item file says to the harness."""
    draw = random.Random(0)
    asked = [
        made_item(
            "HallusionBench",
            f"{kind}_{figure}_{question}",
            group=f"set {kind}",
            answer=draw.choice(["Yes", "No"]),
            facts={"l2-category": "chart", "set": str(kind), "figure": str(figure), "question": str(question)},
        )
        for kind in range(12)
        for figure in range(2)
        for question in range(3)
    ]
    answers = [draw.choice(["Yes.", "No.", "I do not know."]) for _ in asked]
    scorer = benchmark("HallusionBench")
    own = scorer.aggregate(list(zip(asked, scorer.score_all(asked, answers), strict=True)))
    found = aggregate([ItemResult.model_validate(line) for line in results(asked, answers, None)])
    assert own.value is not None
    assert found.mean == pytest.approx(own.value)
    assert found.mean != pytest.approx(sum(s.value or 0 for s in scorer.score_all(asked, answers)) / len(asked))
    assert found.unscored["HallusionBench"].answer == own.unscored_answer
