"""A cheater leaves links, pipes and huge files where the harness copies its session log, and where its own next
start puts its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cheater_trial import GROWTH, Trial, cheat, folder_size, places_of, workplace
from scripted_model import KEY, ScriptedModel

from curation_harness.record.state import status
from curation_harness.record.store import RunRecord

pytestmark = pytest.mark.containers

SECRET = '{"secret": "of-the-host"}\n'
FOUND = "[curation_harness]\ncheating = cheater_agent\n"


def install(folder: Path) -> None:
    """The test's plugin, found as an installed one is."""
    (folder / "cheater_agent.py").write_text(Path(__file__).with_name("cheater_agent.py").read_text())
    info = folder / "cheating-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cheating\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(FOUND)


@pytest.fixture(scope="module")
def trial(cache: Path) -> Iterator[Trial]:
    with ScriptedModel([]) as model, workplace(cache) as harness:
        host, plugin = harness.folder / "host", harness.folder / "plugin"
        host.mkdir()
        plugin.mkdir()
        (host / "secret.jsonl").write_text(SECRET)
        install(plugin)
        harness.environment["PYTHONPATH"] = str(plugin)
        options = ("--set", "budgets.continuations=2", "--set", "budgets.idle_seconds=30")
        limits = ("--set", "limits.home_size=64m")
        yield cheat(harness, model, [], *options, *limits, agent="leaving", given={"host": str(host)})


@pytest.fixture(scope="module")
def left(trial: Trial) -> dict[int, dict[str, Any]]:
    """The agent's own lines, by turn."""
    lines = (trial.folder / "agent.log").read_text(errors="replace").splitlines()
    found = [json.loads(line.removeprefix("LEFT ")) for line in lines if line.startswith("LEFT ")]
    return {entry["turn"]: entry for entry in found}


def kept(trial: Trial) -> list[str]:
    """Names of the copies of the first turn's log."""
    return sorted(path.name for path in (trial.folder / "native" / "turn-001" / "log").iterdir())


def test_the_run_ends_in_order(trial: Trial) -> None:
    assert trial.done.returncode == 0, trial.done.stderr[-3000:]
    assert "Traceback" not in trial.done.stderr
    assert status(RunRecord.open_run(trial.folder)) == "empty"
    assert trial.named("agent-over")


def test_the_key_is_nowhere(trial: Trial) -> None:
    assert not places_of(KEY.encode(), trial.folder)


def test_links_to_the_hosts_files_are_not_followed(trial: Trial) -> None:
    assert not places_of(SECRET.encode(), trial.folder)
    assert not places_of(b"root:x:0:0", trial.folder / "native")
    assert not [name for name in kept(trial) if name[:2] in ("a-", "b-", "c-", "d-", "e-")]
    assert not (trial.folder / "native" / "turn-001" / "deep").exists()


def test_plain_files_of_the_log_are_kept(trial: Trial) -> None:
    assert (trial.folder / "native" / "turn-001" / "log" / "f-plain.jsonl").read_text() == '{"plain": true}\n'


def test_pipes_and_sockets_hold_up_nothing(trial: Trial) -> None:
    assert not [name for name in kept(trial) if name[:2] in ("h-", "i-")]
    assert not [path for path in (trial.folder / "native").rglob("*") if not (path.is_file() or path.is_dir())]


def test_huge_and_countless_files_stay_bounded(trial: Trial) -> None:
    for turn in (trial.folder / "native").iterdir():
        assert folder_size(turn) < 300 * 2**20
        assert sum(1 for _ in turn.rglob("*")) < 1100
    assert trial.growth(tail=5) < GROWTH


def test_traps_where_the_next_start_puts_its_files(trial: Trial, left: dict[int, dict[str, Any]]) -> None:
    """Links are replaced and not written through; pipes hold up nothing."""
    assert left[1]["conf"]["link.json"] == "given"
    assert left[2]["victim"] == "untouched"
    assert {name: left[2]["conf"].get(name) for name in ("link.json", "pool.json", "pipe.json", "shut.json")} == {
        "link.json": "given",
        "pool.json": "given",
        "pipe.json": "given",
        "shut.json": "given",
    }
    assert left[1]["honest"]
    assert left[2]["honest"]


def test_a_home_in_which_no_file_can_be_put_ends_the_turn_and_not_the_harness(trial: Trial) -> None:
    """Turn 3 either starts all the same or ends at once, and is the agent's own doing."""
    ended = trial.named("agent-exited")
    assert len(ended) == 3
    assert [event.data["turn"] for event in ended] == [1, 2, 3]
    assert [event.data["code"] for event in ended[:2]] == [0, 0]
    assert not trial.named("agent-idle")
