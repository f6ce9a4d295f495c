"""Comparisons of scores: sums by group, draws of groups, and intervals that hold what they say on simulated runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from curation_harness.record.analysis import analyse
from curation_harness.record.bootstrap import Floats, Measured, resample
from curation_harness.record.contrasts import UNTRAINED, Contrasts, Side, sides, training_of
from curation_harness.record.scores import aggregate
from curation_harness.record.student import chi2_quantile, t_quantile
from curation_harness.record.sums import Halves, pack, shorten
from curation_harness.record.tallies import Tallies, tally
from made_tallies import halves, item

# -- quantiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 30, 2.0423), (0.8, 4, 0.9410), (0.025, 2, -4.3027)],
)
def test_students_quantiles_are_the_tables(p: float, freedom: float, value: float) -> None:
    assert t_quantile(p, freedom) == pytest.approx(value, abs=1e-4)


def test_quantiles_between_and_beyond_the_tables() -> None:
    assert t_quantile(0.975, math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert t_quantile(0.975, 2.5) == pytest.approx(3.574655, abs=1e-6)
    assert chi2_quantile(0.025, 7) == pytest.approx(1.6899, abs=1e-4)
    assert chi2_quantile(0.975, 1) == pytest.approx(5.0239, abs=1e-4)


# -- draws of groups -------------------------------------------------------------------------------


def of_values(values: Floats, benchmarks: Sequence[str] = ("b",), size: int = 1) -> Tallies:
    """One benchmark a row, one group a column."""
    return Tallies(
        {
            name: {"score": {f"g{k:04d}": (float(value) * size, float(size)) for k, value in enumerate(row)}}
            for name, row in zip(benchmarks, np.atleast_2d(values), strict=True)
        }
    )


def test_draws_have_the_clustered_error() -> None:
    draw = np.random.default_rng(0)
    items = [item(str(k), float(draw.random() < 0.4), f"g{k // 3}", "ab"[k % 2]) for k in range(600)]
    found = resample({"x": [tally(items)]}).measured["x"]
    scores = aggregate(items)
    assert found.point[0] == pytest.approx(scores.mean)
    assert found.draws.std(ddof=1) == pytest.approx(scores.stderr, rel=0.05)


def test_models_that_agree_on_every_item_differ_by_nothing() -> None:
    values = (np.random.default_rng(1).random(80) < 0.5).astype(float)
    found = resample({"x": [of_values(values)], "y": [of_values(values)]}).measured
    assert np.abs(found["x"].draws - found["y"].draws).max() < 1e-12


def test_every_benchmark_keeps_its_size_in_every_draw() -> None:
    """Groups of one benchmark only are drawn among themselves: a mean of ones and of zeros never moves."""
    one = {"score": {f"a{k}": (1.0, 1.0) for k in range(30)}}
    other = {"score": {f"b{k}": (0.0, 1.0) for k in range(10)}}
    found = resample({"x": [Tallies({"a": one, "b": other})]})
    assert found.strata == 2
    assert found.measured["x"].draws == pytest.approx(np.full((2000, 1), 0.5))


def test_small_strata_are_put_together() -> None:
    lone = {"score": {"only": (1.0, 1.0)}}
    many = {"score": {f"b{k}": (float(k % 2), 1.0) for k in range(30)}}
    found = resample({"x": [Tallies({"a": lone, "b": many})]})
    assert (found.groups, found.strata) == (31, 1)
    assert np.isnan(found.measured["x"].draws).any(), "a draw without the only item of a benchmark has no score"
    assert math.isfinite(Contrasts(sides(found.measured, ["x"], None), 31).estimate({"x": 1}).stderr)


def test_the_same_record_gives_the_same_interval() -> None:
    values = (np.random.default_rng(2).random(50) < 0.5).astype(float)
    first, again = (resample({"x": [of_values(values)]}).measured["x"].draws for _ in range(2))
    assert np.array_equal(first, again)


def test_models_of_different_benchmarks_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different benchmarks"):
        resample({"x": [of_values(np.ones(3))], "y": [of_values(np.ones(3), ["c"])]})


# -- intervals: simulated runs ---------------------------------------------------------------------


class World:
    """Scores of seed k on group i: level + a_k + b_i + c_ki, with b_i partly common to all selections."""

    def __init__(self, seed: int, groups: int = 120, *, main: float, crossed: float, items: float = 0.3) -> None:
        self.rng = np.random.default_rng(seed)
        self.groups, self.main, self.crossed, self.items = groups, main, crossed, items
        self.common = self.rng.normal(0, items, (2, groups))

    def arm(self, level: float, seeds: int) -> list[Tallies]:
        own = self.rng.normal(0, self.items / 2, (2, self.groups))
        return [
            of_values(
                level
                + self.common
                + own
                + self.rng.normal(0, self.main)
                + self.rng.normal(0, self.crossed, (2, self.groups)),
                ["a", "b"],
            )
            for _ in range(seeds)
        ]


def drawn(arms: Mapping[str, list[Tallies]], draws: int = 300) -> Contrasts:
    found = resample(arms, draws)
    return Contrasts(sides(found.measured, ["base"], None), found.groups)


@pytest.mark.parametrize(
    ("main", "crossed"),
    [(0.03, 0.3), (0.06, 0.1), (0.0, 0.3), (0.01, 0.0)],
    ids=["both", "training rules", "items by seeds only", "little training"],
)
def test_the_interval_of_a_difference_holds_the_true_one_as_often_as_it_says(main: float, crossed: float) -> None:
    inside = narrow = 0
    runs = 300
    for seed in range(runs):
        world = World(seed, main=main, crossed=crossed)
        found = drawn({"headline": world.arm(0.55, 3), "random": world.arm(0.5, 8)}).estimate(
            {"headline": 1, "random": -1}
        )
        inside += found.interval.low <= 0.05 <= found.interval.high
        narrow += abs(found.value - 0.05) <= 1.96 * found.items_sd
    # the binomial error of 300 runs is 1.3 points
    assert 0.92 <= inside / runs <= 0.99
    if main == 0.06:
        assert narrow / runs < 0.8, "without training variance the interval would be far too narrow"


def test_pairing_takes_off_what_is_hard_for_everybody() -> None:
    world = World(0, main=0.0, crossed=0.05, items=0.4)
    found = drawn({"headline": world.arm(0.5, 3), "random": world.arm(0.5, 8)}, 1000)
    paired = found.estimate({"headline": 1, "random": -1}).items_sd
    alone = math.sqrt(found.covariance({"headline": 1}, {"headline": 1}) * 2)
    assert paired < 0.75 * alone


def test_the_share_of_the_gain_holds_the_true_one_as_often_as_it_says() -> None:
    inside = known = 0
    runs = 300
    for seed in range(runs):
        world = World(seed, main=0.02, crossed=0.2)
        arms = {"headline": world.arm(0.5, 3), "base": world.arm(0.35, 1), "full": world.arm(0.6, 3)}
        # the untrained model has no training noise: take it off again
        arms["base"] = [of_values(0.35 + world.common, ["a", "b"])]
        found = drawn(arms).ratio({"headline": 1, "base": -1}, {"full": 1, "base": -1})
        if found is not None:
            known += 1
            inside += found[1].low <= 0.6 <= found[1].high
    assert known > 0.97 * runs
    assert 0.92 <= inside / known <= 0.99


def test_no_share_where_the_gain_cannot_be_told_from_zero() -> None:
    world = World(3, main=0.03, crossed=0.2)
    arms = {"headline": world.arm(0.5, 3), "base": world.arm(0.5, 1), "full": world.arm(0.5, 3)}
    found = resample(arms, 300)
    contrasts = Contrasts(sides(found.measured, ["base"], None), found.groups)
    assert contrasts.ratio({"headline": 1, "base": -1}, {"full": 1, "base": -1}) is None
    assert contrasts.ratio({"headline": 1, "base": -1}, {"base": 1, "full": -1}) is None


def test_fieller_bounds_are_where_the_leftover_is_its_own_error() -> None:
    world = World(4, main=0.02, crossed=0.2)
    arms = {"headline": world.arm(0.5, 3), "base": world.arm(0.3, 1), "full": world.arm(0.6, 3)}
    contrasts = drawn(arms, 1000)
    found = contrasts.ratio({"headline": 1, "base": -1}, {"full": 1, "base": -1})
    assert found is not None
    share, interval = found
    freedom = contrasts.estimate({"headline": 1, "full": -share, "base": share - 1}).freedom
    for theta in (interval.low, interval.high):
        leftover = contrasts.estimate({"headline": 1, "full": -theta, "base": theta - 1})
        assert abs(leftover.value) == pytest.approx(t_quantile(0.975, freedom) * leftover.stderr, rel=1e-6)
    assert interval.low < share < interval.high


def test_one_seed_takes_the_training_variance_measured_elsewhere_or_says_so() -> None:
    world = World(5, main=0.05, crossed=0.1)
    found = resample({"headline": world.arm(0.5, 1), "random": world.arm(0.5, 8)}, 300)
    alone = Contrasts(sides(found.measured, [], None), found.groups).estimate({"headline": 1, "random": -1})
    helped = Contrasts(sides(found.measured, [], training_of(found.measured["random"])), found.groups).estimate(
        {"headline": 1, "random": -1}
    )
    assert not alone.training_known
    assert helped.training_known
    assert helped.training_sd > alone.training_sd


def test_the_detectable_difference_is_found_in_four_of_five_cases() -> None:
    contrast = Contrasts(
        {"x": Side(Measured(np.array([0.0]), np.random.default_rng(0).normal(0, 1, (4000, 1))), UNTRAINED)}, 10**6
    )
    found = contrast.estimate({"x": 1})
    assert found.detectable == pytest.approx((1.96 + 0.8416) * found.stderr, rel=1e-3)
    power = float(
        (np.random.default_rng(1).normal(found.detectable, found.stderr, 20_000) > 1.96 * found.stderr).mean()
    )
    assert power == pytest.approx(0.8, abs=0.01)


# -- a run's analysis ------------------------------------------------------------------------------


def run_of(
    levels: Mapping[str, tuple[float, int]], seed: int, gain: float
) -> tuple[list[Halves], Tallies, dict[str, list[Halves]]]:
    """Headline, the attempt's public tallies, and references; the attempt was lucky by ``gain`` on public items."""
    worlds = {half: World(seed + k, main=0.01, crossed=0.1) for k, half in enumerate(("public", "sealed"))}

    def arm(level: float, seeds: int) -> list[Halves]:
        both = {half: world.arm(level, seeds) for half, world in worlds.items()}
        return [
            {"public": shorten(_named(both["public"][k], "p")), "sealed": shorten(_named(both["sealed"][k], "s"))}
            for k in range(seeds)
        ]

    references = {name: arm(level, seeds) for name, (level, seeds) in levels.items()}
    attempt = _named(worlds["public"].arm(0.55 + gain, 1)[0], "p")
    raw = {half: world.arm(0.55, 3) for half, world in worlds.items()}
    headline: list[Halves] = [
        {"public": _named(raw["public"][k], "p"), "sealed": _named(raw["sealed"][k], "s")} for k in range(3)
    ]
    return headline, attempt, references


def _named(tallies: Tallies, prefix: str) -> Tallies:
    return Tallies(
        {
            b: {m: {prefix + g: cell for g, cell in cells.items()} for m, cells in metrics.items()}
            for b, metrics in tallies.cells.items()
        }
    )


LEVELS = {"base": (0.3, 1), "random": (0.5, 8), "full": (0.6, 3)}


def test_a_runs_analysis_has_all_parts() -> None:
    headline, attempt, references = run_of(LEVELS, 10, gain=0.0)
    found = analyse(headline, attempt, 5, pack(references), draws=400)
    assert found is not None
    assert {(d.reference, d.part) for d in found.differences} == {
        (name, part) for name in LEVELS for part in ("public", "sealed", "all")
    }
    sealed = found.against("random", "sealed")
    assert sealed is not None
    assert sealed.interval.low < sealed.difference < sealed.interval.high
    assert sealed.detectable > sealed.stderr
    assert sealed.stderr == pytest.approx(math.hypot(sealed.items_sd, sealed.training_sd))
    assert {r.part for r in found.recovered} == {"sealed", "all"}
    assert found.groups == 240
    assert found == analyse(headline, attempt, 5, pack(references), draws=400)


def test_differences_without_judge_leave_whole_benchmarks_out() -> None:
    headline, attempt, references = run_of(LEVELS, 10, gain=0.0)
    table = pack(references)
    found = analyse(headline, attempt, 5, table, draws=400, graded=["b", "not there"])
    assert found is not None
    assert {(d.reference, d.part) for d in found.without_judge} == {
        (name, part) for name in LEVELS for part in ("sealed", "all")
    }
    only_a = {
        name: [{half: _only("a", tallies) for half, tallies in known.items()} for known in seeds]
        for name, seeds in references.items()
    }
    alone = analyse(
        [{half: _only("a", tallies) for half, tallies in known.items()} for known in headline],
        _only("a", attempt),
        5,
        pack(only_a),
        draws=400,
    )
    assert alone is not None
    expected = {(d.reference, d.part): d for d in alone.differences}
    assert all(d == expected[d.reference, d.part] for d in found.without_judge)
    assert found.differences == getattr(analyse(headline, attempt, 5, table, draws=400), "differences", None)
    for graded in ([], ["a", "b"]):
        none = analyse(headline, attempt, 5, table, draws=400, graded=graded)
        assert none is not None
        assert none.without_judge == ()


def _only(benchmark: str, tallies: Tallies) -> Tallies:
    return Tallies({benchmark: tallies.cells[benchmark]})


def test_luck_on_public_items_shows_as_shrinkage() -> None:
    lucky, honest = (
        analyse(*run_of(LEVELS, 20, gain=gain)[:2], 5, pack(run_of(LEVELS, 20, gain=gain)[2]), draws=400)
        for gain in (0.3, 0.0)
    )
    assert lucky is not None
    assert lucky.shrinkage is not None
    assert honest is not None
    assert honest.shrinkage is not None
    assert lucky.shrinkage.interval.low > 0
    assert honest.shrinkage.interval.low <= 0 <= honest.shrinkage.interval.high
    assert lucky.shrinkage.shrinkage == pytest.approx(lucky.shrinkage.public_gain - lucky.shrinkage.sealed_gain)


def test_shrinkage_of_an_honest_run_holds_zero_as_often_as_it_says() -> None:
    inside = 0
    runs = 100
    for seed in range(runs):
        headline, attempt, references = run_of({"random": (0.5, 8), "random-fixed": (0.5, 6)}, 1000 + 2 * seed, 0.0)
        found = analyse(headline, attempt, 1, pack(references), draws=200)
        assert found is not None
        assert found.shrinkage is not None
        inside += found.shrinkage.interval.low <= 0 <= found.shrinkage.interval.high
    assert inside / runs >= 0.9


def test_references_on_other_items_are_not_compared() -> None:
    headline, attempt, _ = run_of(LEVELS, 30, 0.0)
    assert analyse(headline, attempt, 5, pack({"base": [halves([0, 1, 1])]})) is None
    assert analyse(headline, attempt, 5, None) is None
