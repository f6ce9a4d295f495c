"""``record/scores.py`` against hand-computed numbers, brute force and simulation."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from pathlib import Path

import pytest

from curation_harness.record import scores
from curation_harness.record.measures import Scores
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult
from curation_sandbox.protocol import Score


def items(values: list[tuple[str, str, float]]) -> list[ItemResult]:
    """(benchmark, group, score) triples as items."""
    return [
        ItemResult(benchmark=benchmark, item=str(place), group=group, score=score)
        for place, (benchmark, group, score) in enumerate(values)
    ]


def scores_of(mean: float, stderr: float) -> Scores:
    score = Score(mean=mean, stderr=stderr, n=100)
    return Scores(mean=mean, stderr=stderr, n=100, by_benchmark={"a": score})


# -- aggregate -------------------------------------------------------------------------------------


def test_clustered_error_is_the_hand_computed_one() -> None:
    # Groups g: {1, 1}, h: {0, 1}, i: {0}; mean 0.6; group sums of deviations 0.8, -0.2, -0.6.
    # √(3/2 · (0.64 + 0.04 + 0.36)) / 5 = √1.56 / 5.
    found = scores.aggregate(items([("a", "g", 1), ("a", "g", 1), ("a", "h", 0), ("a", "h", 1), ("a", "i", 0)]))
    assert found.mean == pytest.approx(0.6)
    assert found.by_benchmark["a"].stderr == pytest.approx(math.sqrt(1.56) / 5)
    assert found.stderr == pytest.approx(math.sqrt(1.56) / 5)
    assert found.n == found.by_benchmark["a"].n == 5


def test_without_shared_groups_it_is_the_textbook_error() -> None:
    values = [0.0, 0.25, 0.5, 1.0, 1.0, 0.75]
    found = scores.aggregate(items([("a", f"g{place}", value) for place, value in enumerate(values)]))
    assert found.stderr == pytest.approx(statistics.stdev(values) / math.sqrt(len(values)))


def test_copies_in_one_group_add_no_certainty() -> None:
    values = [0.0, 1.0, 1.0, 0.5]
    once = scores.aggregate(items([("a", str(place), value) for place, value in enumerate(values)]))
    ten_times = scores.aggregate(items([("a", str(place), value) for place, value in enumerate(values)] * 10))
    assert ten_times.stderr == pytest.approx(once.stderr)


def test_every_benchmark_counts_alike_however_many_items_it_has() -> None:
    found = scores.aggregate(items([("large", str(n), 1.0) for n in range(90)] + [("small", "x", 0.0)]))
    assert found.mean == 0.5


def test_error_over_independent_benchmarks_adds_in_squares() -> None:
    draw = random.Random(0)
    many = items([(name, f"{name}{n}", float(draw.random() < 0.4)) for name in "abc" for n in range(400)])
    found = scores.aggregate(many)
    separate = math.hypot(*(score.stderr for score in found.by_benchmark.values())) / 3
    assert found.stderr == pytest.approx(separate, rel=0.01)  # G/(G-1) differs by a little


def test_a_group_that_spans_benchmarks_widens_the_error() -> None:
    draw = random.Random(1)
    values = [float(draw.random() < 0.5) for _ in range(300)]
    shared = scores.aggregate(items([(name, str(n), value) for name in "ab" for n, value in enumerate(values)]))
    apart = scores.aggregate(items([(name, f"{name}{n}", value) for name in "ab" for n, value in enumerate(values)]))
    assert shared.stderr == pytest.approx(apart.stderr * math.sqrt(2), rel=0.01)


def test_the_error_is_the_spread_of_repeated_draws() -> None:
    """Simulation: groups of two items that always agree."""

    def once(draw: random.Random) -> Scores:
        outcomes = [float(draw.random() < 0.3) for _ in range(40)]
        return scores.aggregate(items([("a", str(g), outcome) for g, outcome in enumerate(outcomes)] * 2))

    draw = random.Random(2)
    runs = [once(draw) for _ in range(1500)]
    spread = statistics.stdev(run.mean for run in runs)
    assert statistics.fmean(run.stderr for run in runs) == pytest.approx(spread, rel=0.06)


# -- over_seeds --------------------------------------------------------------------------------------


def test_seeds_add_training_variance_and_do_not_shrink_item_variance() -> None:
    found = scores.over_seeds([scores_of(0.5, 0.03), scores_of(0.6, 0.03), scores_of(0.7, 0.03)])
    assert found.mean == pytest.approx(0.6)
    assert found.sd_seeds == pytest.approx(0.1)
    assert found.stderr == pytest.approx(math.sqrt(0.03**2 + 0.1**2 / 3))
    assert found.by_benchmark["a"].stderr == pytest.approx(found.stderr)
    assert (found.n, found.seeds) == (100, 3)


def test_one_seed_has_item_variance_only() -> None:
    found = scores.over_seeds([scores_of(0.5, 0.03)])
    assert found.stderr == pytest.approx(0.03)
    assert found.sd_seeds is None


# -- noise floor, random search --------------------------------------------------------------------


def test_noise_floor_is_the_bound_on_a_difference_of_two() -> None:
    assert scores.noise_floor([0.50, 0.52, 0.54]) == pytest.approx(1.96 * math.sqrt(2) * 0.02)
    assert scores.noise_floor([0.5, 0.6]) is None


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_expected_maximum_is_the_mean_over_all_subsets(k: int) -> None:
    draws = [0.4, 0.55, 0.41, 0.47, 0.55]
    every = [max(chosen) for chosen in itertools.combinations(draws, k)]
    assert scores.expected_maximum(draws, k) == pytest.approx(statistics.fmean(every))


def test_expected_maximum_is_right_on_average() -> None:
    """Eight normal draws, best of five: 1.16296 standard deviations above the mean."""
    draw = random.Random(5)
    found = [scores.expected_maximum([draw.gauss(0, 1) for _ in range(8)], 5) for _ in range(4000)]
    assert statistics.fmean(found) == pytest.approx(1.16296, abs=0.03)


def test_expected_maximum_goes_beyond_the_draws_there_are() -> None:
    draws = [0.1, 0.2, 0.3]
    assert scores.expected_maximum(draws, 1) == pytest.approx(0.2)
    assert scores.expected_maximum(draws, 3) == pytest.approx(0.3)
    assert scores.expected_maximum(draws, 10) == pytest.approx(0.2 + 0.1 * 1.53875, abs=1e-4)
    assert scores.expected_maximum([0.5], 7) == 0.5


@pytest.mark.parametrize(("k", "value"), [(1, 0.0), (2, 0.56419), (5, 1.16296), (100, 2.50759)])
def test_maximum_of_normals_is_the_tables(k: int, value: float) -> None:
    assert scores.normal_maximum(k) == pytest.approx(value, abs=1e-5)


# -- the evaluator's file --------------------------------------------------------------------------


def write_lines(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line(benchmark: str, item: str, score: object = 1.0) -> dict[str, object]:
    return {"benchmark": benchmark, "item": item, "group": "g", "score": score, "prediction": "x"}


def test_reads_what_an_evaluator_writes(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "items.jsonl", [line("a", "1"), line("b", "1", 0.5)])
    assert [item.score for item in scores.read_items(path, ["b", "a"])] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([line("a", "1")], r"\['a'\] were scored, \['a', 'b'\] expected"),
        ([], "expected"),
        ([line("a", "1"), line("b", "1"), line("c", "1")], "expected"),
        ([line("a", "1"), line("b", "1"), line("a", "1")], "line 3: item 1 of a comes twice"),
        ([line("a", "1"), line("b", "1", 1.5)], "line 2"),
        ([line("a", "1"), line("b", "1", float("nan"))], "line 2"),
        ([line("a", "1"), "text"], "line 2"),
        ([line("a", "1"), {**line("b", "1"), "more": 1}], "line 2"),
    ],
    ids=["missing benchmark", "no items", "unknown benchmark", "twice", "above 1", "NaN", "no object", "more keys"],
)
def test_a_file_that_is_not_what_was_promised_is_refused(tmp_path: Path, lines: list[object], what: str) -> None:
    path = write_lines(tmp_path / "items.jsonl", lines)
    with pytest.raises(WorkerReplyInvalid, match=what):
        scores.read_items(path, ["a", "b"])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(WorkerReplyInvalid, match="line 1"):
        scores.read_items(path, ["a"])


def test_a_missing_file_is_a_failure_of_the_evaluator(tmp_path: Path) -> None:
    with pytest.raises(WorkerReplyInvalid, match="wrote no items"):
        scores.read_items(tmp_path / "items.jsonl", ["a"])
