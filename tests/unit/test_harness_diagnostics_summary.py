"""Counts with denominators, the gap, gains and costs; runs beside each other; best so far beside chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.diagnostics.comparison import bands, best_so_far, compare
from curation_harness.diagnostics.diagnosis import RunDiagnosis, diagnose
from curation_harness.diagnostics.features import features
from curation_harness.diagnostics.labels import label
from curation_harness.report.diagnosis import render
from made_tries import BAND, QUOTA, SPREAD, TryMaker


def diagnosed(folder: Path, run_id: str = "run-1", lift: float = 0.0) -> RunDiagnosis:
    """A plain beginning, a refused try and its repair, tuning, a new family that gains, a failure of the harness."""
    made = TryMaker(folder)
    made.add(QUOTA, mean=0.50 + lift)
    made.add(BAND, outcome="refused", problems=("unknown-row: row 9000",))
    made.add(BAND, mean=0.55 + lift)
    made.add(BAND.replace("0.6", "0.7"), mean=0.54 + lift)
    made.add(SPREAD, mean=0.60 + lift)
    made.add(SPREAD, outcome="failed", problems=("WorkerCrashed: signal 9",))
    return diagnose(made.view(run_id=run_id), label)


@pytest.fixture
def run(tmp_path: Path) -> RunDiagnosis:
    return diagnosed(tmp_path)


def test_shares_leave_out_the_plain_beginning_and_name_their_denominator(run):
    shares = {name: (found.count, found.of) for name, found in run.summary.shares.items() if found.count}
    assert shares == {"repair": (1, 3), "local tuning": (1, 3), "new family": (1, 3)}
    assert (run.summary.baseline, run.summary.failed, run.summary.refused) == (1, 1, 1)


def test_the_gap_is_execution_less_research_over_the_same_tries(run):
    summary = run.summary
    assert (summary.execution.count, summary.execution.of) == (3, 4)
    assert (summary.research.count, summary.research.of) == (0, 4)
    assert summary.gap == pytest.approx(3 / 4)


def test_gain_of_a_label_is_what_it_added_to_the_best(run):
    gains = {line.label: line.gain for line in run.summary.labels}
    assert gains["repair"] == pytest.approx(0.05)
    assert gains["new family"] == pytest.approx(0.05)
    assert gains["local tuning"] == 0.0
    means = {line.label: line.gain_mean for line in run.summary.labels}
    assert means["local tuning"] == pytest.approx(-0.01)


def test_every_try_is_paid_for_once(run):
    assert sum(line.agent_seconds for line in run.summary.labels) == pytest.approx(50.0)  # the failed one is ours
    assert "refused" in {line.label for line in run.summary.labels}


def test_the_run_took_what_all_tries_took(run):
    assert run.agent_seconds == pytest.approx(60.0)
    assert run.dollars == pytest.approx(0.6)
    (group,) = next(grouping for grouping in compare([run]).groupings if grouping.by == "task").groups
    assert group.agent_seconds is not None
    assert group.agent_seconds.mean == pytest.approx(60.0)


def test_refused_tries_are_told_of_the_tries_that_count(run):
    refused = next(line for line in run.summary.labels if line.label == "refused")
    assert (refused.attempts.count, refused.attempts.of) == (1, run.summary.tries)


def test_noise_chasing_shows_beside_random_draws(run):
    assert run.summary.beyond_chance == pytest.approx(0.60 - (0.5 + 0.01 * 3))


def test_failed_attempts_have_no_label(run):
    assert [one.labelled is None for one in run.tries] == [False, True, False, False, False, True]


def test_nothing_submitted_has_no_gap(tmp_path):
    assert diagnose(TryMaker(tmp_path).view(), label).summary.gap is None


def test_features_measure_rows_sources_and_distance(tmp_path):
    made = TryMaker(tmp_path)
    made.add(BAND, rows=range(100))
    made.add(BAND, rows=range(50, 150))
    view = made.view(sources=["north"] * 100 + ["amber"] * 100)
    found = features(view, made.tries[1])
    assert found.overlaps == {1: pytest.approx(50 / 150)}
    assert found.overlap_by_chance == pytest.approx(0.5 / 1.5)
    assert found.distances == {1: 0.0}
    assert found.mix == {"north": 50, "amber": 50}
    assert found.mix_from_pool == pytest.approx(0.0)
    assert found.mix_moved == pytest.approx(0.5)


def test_runs_are_the_unit_of_comparison(tmp_path):
    runs = [diagnosed(tmp_path / str(n), f"run-{n}", lift=0.1 * n) for n in range(3)]
    found = compare(runs)
    group = next(grouping for grouping in found.groupings if grouping.by == "scaffold").groups[0]
    assert group.runs == ("run-0", "run-1", "run-2")
    assert group.best is not None
    assert (group.best.runs, group.best.mean) == (3, pytest.approx(0.7))
    assert group.best.interval is not None
    assert (
        group.best.interval.low < 0.6 < 0.8 < group.best.interval.high
    )  # three runs say little, twelve attempts or not


def test_scores_of_several_tasks_are_not_averaged(tmp_path):
    one, other = diagnosed(tmp_path / "a", "a"), diagnosed(tmp_path / "b", "b")
    found = compare([one, other.model_copy(update={"task": "another"})])
    groups = {grouping.by: grouping.groups for grouping in found.groupings}
    assert groups["scaffold"][0].best is None
    assert groups["scaffold"][0].new_family is not None
    assert len(groups["task"]) == 2


def test_a_band_goes_over_runs_and_holds_the_last_best(tmp_path):
    runs = [diagnosed(tmp_path / str(n), f"run-{n}", lift=0.1 * n) for n in range(2)]
    (band,) = bands(runs)
    assert best_so_far(runs[0]) == pytest.approx([0.50, 0.55, 0.55, 0.60])
    assert (band.low[-1], band.high[-1], band.mean[-1]) == pytest.approx((0.60, 0.70, 0.65))


def test_random_draws_go_on_with_scores_and_not_with_failures(tmp_path):
    made = TryMaker(tmp_path)
    made.add(BAND, mean=0.5)
    made.add(BAND, outcome="failed", problems=("WorkerCrashed: signal 9",))
    made.add(SPREAD, mean=0.6)
    run = diagnose(made.view(), label)
    (band,) = bands([run])
    assert band.mean == pytest.approx((0.5, 0.6))
    assert band.random == pytest.approx((0.5, 0.51))  # the best of one, the best of two


def test_the_page_is_one_file_with_every_picture_and_no_script(tmp_path):
    runs = [diagnosed(tmp_path / str(n), f"run-{n}") for n in range(2)]
    page = render(compare(runs))
    for name in ("search-0", "timeline-1", "tree-1", "pairs-1", "timeline-2"):
        assert f'id="figure-{name}"' in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_an_agent_wrote_cannot_become_markup(tmp_path):
    made = TryMaker(tmp_path)
    made.add(BAND, note='<script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e')
    page = render(compare([diagnose(made.view(), label)]))
    assert "<script>" not in page
    assert "<img src=x" not in page
    assert "\u202e" not in page
