"""DataComp's filters as a newcomer tries them: launched on datacomp-tiny, they come out in the right order."""

from __future__ import annotations

import pytest
from harness_command import Harness

from curation_plugins.agents.programs.baseline.plan import EVERY

pytestmark = [pytest.mark.containers, pytest.mark.train]

SUMMARIES = {method.summary: method.name for method in EVERY}


def method_of(note: str) -> str:
    """Whose submission it is: its note begins with the method's summary."""
    return next(name for summary, name in SUMMARIES.items() if note.startswith(f"{summary}. "))


def test_the_baseline_ranks_the_filters(tmp_path, cache):
    """A third of the recipe's pairs: scores are lower, their order is the same."""
    harness = Harness(tmp_path, cache)
    shorter = ("--set", "recipe.samples=6400", "--set", "headline.seeds=1")
    options = ("--agent", "baseline", "--task", "datacomp-tiny", "--run-id", "r", "--iterations", "6")
    done = harness.run("launch", *options, *shorter, timeout=900)
    assert done.returncode == 0, done.stderr
    summary = harness.summary()
    assert (summary.task, summary.agent, summary.status) == ("datacomp-tiny", "baseline", "scored")
    score = {method_of(attempt.note): attempt.public.mean for attempt in summary.attempts}
    assert score.keys() == {"random", "no-filter", "basic", "clip-b32", "clip-l14", "intersection"}
    # the basic filter gains less at this length than another training seed moves: it is held against the scores only
    unfiltered, best = max(score["random"], score["no-filter"]), min(score["clip-l14"], score["intersection"])
    assert max(unfiltered, score["basic"]) < score["clip-b32"] < best, score
    # the headline is the best filter's, on items that the agent never saw
    (winner,) = (attempt for attempt in summary.attempts if attempt.best)
    assert score[method_of(winner.note)] == max(score.values())
    assert summary.sealed.attempt == winner.n
    assert summary.sealed.mean > unfiltered
