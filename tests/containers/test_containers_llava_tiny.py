"""The main job as a newcomer starts it: the default agent on the default task, then trained and scored again."""

from __future__ import annotations

import json

import pytest
from harness_command import Harness, another_checkout

pytestmark = [pytest.mark.containers, pytest.mark.train]


def test_the_default_launch_improves_on_random_and_repeats_exactly(tmp_path, cache):
    harness = Harness(tmp_path, cache)
    done = harness.run("launch", "--run-id", "r", "--iterations", "2", "--set", "headline.seeds=1", timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].endswith("report.html")
    summary = harness.summary()
    assert (summary.task, summary.agent, summary.status) == ("llava-tiny", "baseline", "scored")
    first, second = (attempt.public.mean for attempt in summary.attempts)
    # the baseline's first method is random; the other of two is its best
    assert second > first + summary.noise_floor
    assert summary.sealed.mean > first
    assert summary.random_search is not None
    assert (harness.runs / "r" / "report.html").read_text().count("data:image/png") >= 12
    rerun = harness.run("rerun", "r", "--submissions", "--json", timeout=600)
    assert rerun.returncode == 0, rerun.stderr
    assert json.loads(rerun.stdout)["verdict"] == "equal"
    for checkout in (harness, another_checkout(harness, tmp_path)):
        replayed = checkout.run("rerun", "r", "--replay", "--json", timeout=600)
        assert replayed.returncode == 0, replayed.stderr
        assert json.loads(replayed.stdout)["verdict"] == "equal"
