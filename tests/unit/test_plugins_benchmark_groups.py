"""Split groups over all benchmarks, readings of unscored items, resampling, and the mean of the benchmarks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from curation_plugins.errors import AssetsInvalid, UnknownName
from curation_plugins.tasks.llava.benchmarks.groups import assign_groups, largest_groups, split_items, text_tie
from curation_plugins.tasks.llava.benchmarks.load import Asking, load_benchmarks
from curation_plugins.tasks.llava.benchmarks.names import GRADED
from curation_plugins.tasks.llava.benchmarks.registry import PUBLIC, benchmark
from curation_plugins.tasks.llava.benchmarks.score import (
    READINGS,
    BenchmarkScore,
    ItemScore,
    Unit,
    combine,
    headline,
    mean_of_metrics,
    tally,
)
from curation_plugins.tasks.llava.scoring import SCORERS
from made_benchmarks import item, write_tsv


def test_ties_link_over_other_items_and_in_any_order() -> None:
    ties = {"a": ("x",), "b": ("x", "y"), "c": ("y", "z"), "d": ("w",), "e": (), "f": ("z",)}
    items = [item("B", name, ties=tie) for name, tie in ties.items()]
    groups = {known.item: known.group for known in assign_groups(items)}
    assert groups["a"] == groups["b"] == groups["c"] == groups["f"]
    assert len({groups["a"], groups["d"], groups["e"]}) == 3
    random.Random(0).shuffle(items)
    assert {known.item: known.group for known in assign_groups(items)} == groups


def test_an_item_alone_is_named_by_its_benchmark() -> None:
    one, other = assign_groups([item("A", "1"), item("B", "1")])
    assert one.group != other.group


def test_a_text_ties_equal_questions_with_options_in_any_order() -> None:
    assert text_tie("Which one?", ["Cat!", "dog"]) == text_tie("which ONE", ["dog", "cat"])
    assert text_tie("Which one?", ["cat", "dog"]) != text_tie("Which one?", ["cat", "cow"])
    assert text_tie("What is written in the image?", []) == (), "open questions are too general"


def _choice(index: int, image: int | str, **fields: Any) -> dict[str, Any]:
    return {
        "index": index, "image": image, "question": f"Which {index}?", "answer": "A", "A": "cat", "B": f"dog {index}",
        **fields,
    }  # fmt: skip


def test_images_and_questions_shared_between_benchmarks_stay_in_one_half(tmp_path: Path) -> None:
    star = [_choice(n, 1000 + n) for n in range(40)]
    bench = [_choice(n, 1000 + n, question=f"Other {n}?") for n in range(20)]  # images of MMStar's first twenty
    bench += [_choice(1_000_000 + n, str(n), question=f"Other {n}?", A=f"dog {n}", B="cat") for n in range(20)]
    bench += [_choice(n, 2000 + n) for n in range(20, 40)]  # questions of MMStar's last twenty
    files = {
        "MMStar": write_tsv(tmp_path / "MMStar.tsv", star),
        "MMBench": write_tsv(tmp_path / "MMBench.tsv", bench),
    }
    seen: list[tuple[str, float]] = []
    items = load_benchmarks(files, tmp_path / "out", progress=lambda what, share: seen.append((what, share)))
    assert seen == [("reading MMStar", 0.0), ("reading MMBench", 0.5)]
    assert len(items) == 100
    assert len({known.group for known in items}) == 40
    assert largest_groups(items)[0][1] == 3
    halves = split_items(items, "salt")
    assert min(len(part) for part in halves.values()) > 20
    assert not {known.group for known in halves["public"]} & {known.group for known in halves["sealed"]}
    assert split_items(items, "salt") == halves
    assert split_items(items, "pepper") != halves


def test_sets_of_hallusionbench_are_never_cut(tmp_path: Path) -> None:
    rows = [
        {
            "index": f"VD_chart_1_{group}_{figure}_{question}", "image": 10 * group + figure, "question": "Is it?",
            "answer": "Yes", "category": "VD", "l2-category": "chart",
        }
        for group in range(8) for figure in range(2) for question in range(2)
    ]  # fmt: skip
    items = load_benchmarks({"HallusionBench": write_tsv(tmp_path / "HallusionBench.tsv", rows)}, tmp_path)
    assert len(items) == 32
    assert {(known.facts["set"], known.group) for known in items} == {
        (known.facts["set"], next(k.group for k in items if k.facts["set"] == known.facts["set"])) for known in items
    }
    assert len({known.group for known in items}) == 8


def test_limits_and_styles_are_told_by_the_task(tmp_path: Path) -> None:
    files = {"MMStar": write_tsv(tmp_path / "MMStar.tsv", [_choice(1, 1)])}
    [asked] = load_benchmarks(files, tmp_path, Asking(style="llava", max_tokens={"MMStar": 5}))
    assert asked.max_tokens == 5
    assert str(asked.prompt[1]).endswith("from the given choices directly.")


UNITS = [
    Unit(metric="m", group="a", value=1.0),
    Unit(metric="m", group="a", value=0.0),
    Unit(metric="m", group="b", value=1.0),
    Unit(metric="m", group="b", value=None, unscored="answer"),
    Unit(metric="m", group="c", value=None, unscored="judge"),
]


@pytest.mark.parametrize(("reading", "value"), [("standard", 2 / 4), ("as_wrong", 2 / 5), ("left_out", 2 / 3)])
def test_readings_of_unscored_units(reading: Any, value: float) -> None:
    assert combine(tally(UNITS, reading).values()) == {"m": pytest.approx(value)}


def test_groups_are_resampled_by_adding_tallies() -> None:
    tallies = tally(UNITS)
    assert tallies == {"a": {"m": (1.0, 2.0)}, "b": {"m": (1.0, 2.0)}}
    assert combine([tallies["a"], tallies["a"], tallies["b"]]) == {"m": 3 / 6}
    units = [*UNITS, Unit(metric="n", group="b", value=1.0)]
    again = tally(units)
    assert mean_of_metrics(combine([again["b"], again["b"]]), ("m", "n")) == (2 / 4 + 2 / 2) / 2
    assert mean_of_metrics(combine([again["a"]]), ("m", "n")) is None, "a draw without a metric has no score"


def test_a_base_that_is_not_known_is_the_mean_of_the_known() -> None:
    units = [
        Unit(metric="m", group="a", value=0.6, base=0.8),
        Unit(metric="m", group="b", value=0.3, base=1.0),
        Unit(metric="m", group="c", value=None, unscored="judge", base=None),
    ]
    assert combine(tally(units).values())["m"] == pytest.approx(0.9 / 1.8)
    assert combine(tally(units, "as_wrong").values())["m"] == pytest.approx(0.9 / 2.7)
    assert tally(units[2:], "as_wrong") == {}


def _score(name: str, value: float | None, left_out: float | None = None) -> BenchmarkScore:
    return BenchmarkScore(
        benchmark=name, value=value, as_wrong=value, left_out=left_out, items=1, unscored_answer=0, unscored_judge=0,
        judged=False,
    )  # fmt: skip


def test_the_mean_with_and_without_judge() -> None:
    values = {"MMVet": 0.3, "LLaVABench": 0.6, "OCRBench": 0.2, "MMStar": 0.4}
    scores = [_score(name, value, left_out=1.0) for name, value in values.items()]
    both = headline(scores, GRADED)
    assert both.with_judge == pytest.approx(1.5 / 4)
    assert both.without_judge == pytest.approx(0.6 / 2)
    assert headline(scores, GRADED, "left_out").with_judge == 1.0
    down = headline([_score("MMVet", None), *scores[1:]], GRADED)
    assert down.with_judge is None, "a benchmark without a score is not taken for zero"
    assert down.missing == ("MMVet",)
    assert down.without_judge == pytest.approx(0.3)


def test_the_eight_and_the_tiny_ones_have_one_registry() -> None:
    names = [kind.name for kind in PUBLIC]
    assert len(names) == len(set(names)) == 8
    assert GRADED == ("MMVet", "LLaVABench")
    assert all(benchmark(name).name == name for name in [*names, *SCORERS])
    assert all(len(kind.md5) == 32 for kind in PUBLIC)
    with pytest.raises(UnknownName, match="no benchmark 'MMWet'") as caught:
        benchmark("MMWet")
    assert "MMVet" in str(caught.value.hint)
    with pytest.raises(UnknownName):
        load_benchmarks({"MMWet": None}, Path())  # type: ignore[dict-item]


def test_a_tiny_benchmark_is_scored_by_the_same_classes() -> None:
    scorer = benchmark("digits")
    items = [item("digits", str(n), answer=str(n), group=f"g{n}") for n in range(3)]
    total = scorer.aggregate(list(zip(items, scorer.score_all(items, ["0", "one", "7"]), strict=True)))
    assert total.value == pytest.approx(2 / 3)
    assert (total.unscored_answer, total.unscored_judge, total.judged) == (0, 0, False)


def test_nothing_to_score_is_no_score() -> None:
    asked = item("MMStar", options={"A": "x", "B": "y"})
    total = benchmark("MMStar").aggregate([(asked, ItemScore.none("answer", "no option"))])
    assert (total.value, total.as_wrong, total.left_out) == (0.0, 0.0, None)
    empty = benchmark("MMStar").aggregate([])
    assert [getattr(empty, "value" if reading == "standard" else reading) for reading in READINGS] == [None] * 3


def test_a_damaged_file_among_several_names_itself(tmp_path: Path) -> None:
    good = write_tsv(tmp_path / "MMStar.tsv", [_choice(1, 1)])
    bad = write_tsv(tmp_path / "MMBench.tsv", [_choice(1, 1)])
    bad.path.write_bytes(bad.path.read_bytes()[:-5])
    with pytest.raises(AssetsInvalid, match=r"MMBench\.tsv is not the expected one"):
        load_benchmarks({"MMStar": good, "MMBench": bad}, tmp_path / "out")


def test_items_survive_being_written_and_read(tmp_path: Path) -> None:
    files = {"MMStar": write_tsv(tmp_path / "MMStar.tsv", [_choice(1, 1, A="0", question="1")])}
    [asked] = load_benchmarks(files, tmp_path)
    assert type(asked).model_validate_json(asked.model_dump_json()) == asked
