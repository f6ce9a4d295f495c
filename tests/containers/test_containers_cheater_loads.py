"""A cheater in a whole run sends too much, too slowly, too often, from too many connections, or does not listen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cheater_trial import Trial, WholeRun, cheat, folder_size, workplace
from scripted_model import ScriptedModel
from scripted_moves import Say

pytestmark = pytest.mark.containers

ATTACKS = (
    "gigabyte",
    "endless",
    "packed",
    "bombs",
    "trees",
    "slow",
    "connections",
    "hit_and_run",
    "pipeline",
    "deaf",
    "flood",
    "both_sockets",
    "counting",
)
GB = 2**30
LONG = "word " * 100_000


@pytest.fixture(scope="module")
def trial(cache: Path) -> Iterator[Trial]:
    with ScriptedModel([Say(LONG)]) as model, workplace(cache) as harness:
        given = {"connections": 10_000, "counting_seconds": 3}
        yield cheat(harness, model, ATTACKS, given=given, seconds=550)


class TestTheRun(WholeRun):
    pass


@pytest.mark.parametrize("attack", ["gigabyte", "endless"])
def test_a_body_of_a_gigabyte(trial: Trial, attack: str) -> None:
    ends = trial.result(attack)
    assert len(ends) >= 20
    assert not [end for end in ends if 200 <= end["status"] < 300]
    assert max(end["sent"] for end in ends) < GB  # it was stopped, not swallowed
    assert {end["status"] for end in ends} & {413, 503}  # and told why, where it listened


def test_compressed_bodies_are_taken(trial: Trial) -> None:
    assert trial.result("packed") == {"gzip": 200, "zstd": 200}


def test_bombs_in_gzip_and_zstd(trial: Trial) -> None:
    ends = trial.result("bombs")
    assert len(ends) > 12
    assert not {name: statuses for name, statuses in ends.items() if any(200 <= one < 300 for one in statuses)}


def test_json_that_grows_in_memory(trial: Trial) -> None:
    assert len(trial.result("trees")) == 39
    deep = trial.result("trees")["deep, 1 MiB"]
    assert all(status >= 400 for status in deep)


def test_slow_headers_and_bodies(trial: Trial) -> None:
    """They hold up nobody, and those that never get through their headers are cut off."""
    ends = trial.result("slow")
    assert ends["honest"] == [True, True]
    assert ends["headers cut off"] == 30


def test_ten_thousand_connections(trial: Trial) -> None:
    ends = trial.result("connections")
    assert all(end["tried"] >= 10_000 for end in ends.values())
    assert ends["llm.sock"]["opened"] > 100


def test_resets_in_the_middle_of_requests(trial: Trial) -> None:
    assert trial.result("hit_and_run") == 3000


def test_requests_in_a_row_without_reading_replies(trial: Trial) -> None:
    trial.result("pipeline")


def test_replies_that_nobody_reads(trial: Trial) -> None:
    assert trial.result("deaf")["asked"] >= 30
    gone = [entry for entry in trial.exchanges if entry.outcome == "client-gone"]
    assert gone


def test_a_flood_of_requests_leaves_a_bounded_record(trial: Trial) -> None:
    answered = trial.result("flood")
    assert sum(answered.values()) > 500
    refused = [entry for entry in trial.exchanges if entry.outcome == "refused"]
    assert 0 < len(refused) <= 1000
    assert folder_size(trial.folder / "model") < GB


def test_what_is_not_written_down_is_counted(trial: Trial) -> None:
    """Connections over their number, slow headers and what is no HTTP leave no request to record."""
    too_many = trial.result("connections")["llm.sock"]["opened"] - 128
    assert sum(event.data["not_recorded"] for event in trial.named("model-refusals")) > too_many / 2


def test_a_flood_of_submissions_beside_one_of_model_requests(trial: Trial) -> None:
    answered = trial.result("both_sockets")["all"]
    assert answered.get("200", 0) > 20
    assert len(trial.named("refused")) <= 31


def test_token_counts_spend_no_money_and_yet_end(trial: Trial) -> None:
    assert trial.result("counting")
    counts = [entry for entry in trial.exchanges if entry.kind == "count"]
    assert all(not entry.counted for entry in counts)
