"""A cheater in a whole run exhausts its container, or takes the relay in it apart; the run ends in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cheater_trial import Trial, WholeRun, cheat, places_of, workplace
from scripted_model import KEY, ScriptedModel

from curation_harness.record.state import status
from curation_harness.record.store import RunRecord

pytestmark = pytest.mark.containers

ATTACKS = ("fork_bomb", "full_places", "memory", "stopped_relay", "loud", "many_files")
LIMITS = ("--set", "limits.workspace_size=64m", "--set", "limits.home_size=32m", "--set", "limits.pids=100")


@pytest.fixture(scope="module")
def trial(cache: Path) -> Iterator[Trial]:
    with ScriptedModel([]) as model, workplace(cache) as harness:
        yield cheat(harness, model, ATTACKS, *LIMITS, "--set", "limits.memory=512m")


class TestTheRun(WholeRun):
    pass


def test_a_fork_bomb(trial: Trial) -> None:
    assert 50 < trial.result("fork_bomb")["most processes"] <= 100


def test_full_disks(trial: Trial) -> None:
    """The way to the model needs no room."""
    for place, end in trial.result("full_places").items():
        assert end["error"] == "ENOSPC", (place, end)
        assert end["written"] <= 130 * 2**20
        assert end["honest"], place


def test_more_memory_than_there_is(trial: Trial) -> None:
    assert trial.result("memory") == -9
    assert trial.named("oom-kill")


def test_a_relay_that_was_stopped_goes_on(trial: Trial) -> None:
    assert trial.result("stopped_relay") == {"while stopped": False}


def test_endless_output(trial: Trial) -> None:
    assert trial.result("loud") == 200
    assert (trial.folder / "agent.log").stat().st_size < 40 * 2**20
    assert "\x1b" not in trial.done.stdout + trial.done.stderr
    assert "\u202e" not in trial.done.stdout + trial.done.stderr


def test_files_without_number(trial: Trial) -> None:
    assert set(trial.result("many_files").values()) == {"ENOSPC"}


@pytest.mark.parametrize("last", ["killed_relay", "killed_all", "frozen_relay"])
def test_an_end_of_the_relay_is_the_end_of_the_turn(cache: Path, last: str) -> None:
    with ScriptedModel([]) as model, workplace(cache) as harness:
        options = ("--set", "budgets.idle_seconds=5") if last == "frozen_relay" else ()
        trial = cheat(harness, model, [last], *options, seconds=120)
        assert trial.done.returncode == 0, trial.done.stderr
        assert status(RunRecord.open_run(trial.folder)) == "empty"
        assert list(trial.said) == ["nothing"]
        ended = trial.named("agent-exited")
        assert len(ended) == 1
        assert ended[0].data["code"] != 0
        assert not places_of(KEY.encode(), trial.folder)
