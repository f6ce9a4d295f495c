"""What a replay's verdict rests on: every submission, every refusal, and without any of them the traffic itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.store import RunRecord
from curation_harness.replay.runner import Replayer
from curation_harness.replay.source import RecordedSource
from curation_harness.replay.verdict import Replay
from made_records import made_spec, write_attempt, write_refusal
from test_harness_replay import body, record, replies


def judged(folder: Path, then: RunRecord, now: RunRecord, *, asked: int = 1, recorded: int = 1) -> Replay:
    """The verdict on a replay that asked for so many of the recorded replies."""
    requests = [body("a"), body("a", "1", "x"), body("a", "1", "x", "2", "y")]
    record(folder / "traffic", *requests[:recorded])
    source = RecordedSource(ExchangeLog(folder / "traffic"))
    replies(source, *requests[:asked])
    replayer = Replayer(then, *cast("Any", (None, then.spec.image, folder, folder, None)))
    return replayer._verdict(now, source, ())


@pytest.fixture
def then(tmp_path: Path) -> RunRecord:
    return RunRecord.create(tmp_path, made_spec("then"), None)


@pytest.fixture
def now(then: RunRecord) -> RunRecord:
    return RunRecord.create(then.folder / "reruns" / "001-replay", made_spec("now"), None)


def test_the_same_submissions_are_equal(tmp_path, then, now):
    for made in (then, now):
        write_attempt(made, 1)
    assert judged(tmp_path, then, now).verdict == "equal"


def test_the_same_submissions_are_equal_though_a_last_word_was_not_asked_for(tmp_path, then, now):
    for made in (then, now):
        write_attempt(made, 1)
    replay = judged(tmp_path, then, now, asked=1, recorded=2)
    assert (replay.verdict, replay.not_asked) == ("equal", (2,))


@pytest.mark.parametrize("change", ["rows", "policy", "missing", "one too many", "refusal"])
def test_anything_else_submitted_differs(tmp_path, then, now, change):
    write_attempt(then, 1, rows=range(10))
    if change != "missing":
        write_attempt(
            now,
            1,
            rows=range(11 if change == "rows" else 10),
            policy={"other.py": b""} if change == "policy" else None,
        )
    if change == "one too many":
        write_attempt(now, 2)
    if change == "refusal":
        write_refusal(now, 1, "no")
    assert judged(tmp_path, then, now).verdict == "differs"


def test_a_run_without_submissions_is_equal_only_if_it_was_followed_to_its_end(tmp_path, then, now):
    assert judged(tmp_path / "a", then, now, asked=2, recorded=2).verdict == "equal"
    assert judged(tmp_path / "b", then, now, asked=0, recorded=2).verdict == "differs"
