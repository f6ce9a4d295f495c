"""The demonstration of the diagnostics, shortened: two scripted agents in real containers, told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_command import Harness

from curation_harness.diagnostics.comparison import Comparison

pytestmark = [pytest.mark.containers, pytest.mark.train]

AGENTS = Path(__file__).parents[1] / "agents" / "demonstration"
SHORT = ("--set", "recipe.steps=4", "--set", "headline.seeds=1", "--iterations", "3")


def test_the_knob_turner_and_the_adapter_are_told_apart(tmp_path, cache):
    harness = Harness(tmp_path, cache)
    for name, scaffold in (("tuner", "open"), ("adapter", "adapt")):
        agent = ("--agent", "command", "--agent-dir", str(AGENTS), "--agent-arg", f"python3 /agent/agent.py {name}")
        done = harness.run(
            *("launch", "--task", "llava-tiny", "--run-id", name, "--scaffold", scaffold, *agent, *SHORT), timeout=600
        )
        assert done.returncode == 0, done.stderr
    shown = harness.run("diagnose", "tuner", "adapter", "--json")
    assert shown.returncode == 0, shown.stderr
    tuner, adapter = Comparison.model_validate_json(shown.stdout).runs
    assert [one.labelled.label for one in tuner.attempts if one.labelled] == ["baseline", *["local tuning"] * 2]
    assert [one.labelled.label for one in adapter.attempts if one.labelled] == [
        *("new family", "new family", "adaptation")
    ]
    assert tuner.summary.shallow.share == 1.0
    assert adapter.summary.shallow.count == 0
    assert adapter.summary.grounded.share == 1.0
    assert (tuner.summary.gap, adapter.summary.gap) == (1.0, 0.0)
    page = harness.run("diagnose", "tuner", "adapter", "--html")
    assert Path(page.stdout.strip()).stat().st_size > 100_000
