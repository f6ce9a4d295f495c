"""A damaged record is named before a replay starts anything, and never blamed on the agent."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, cast

import pytest

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.models import AttemptSubmission
from curation_harness.record.store import RunRecord
from curation_harness.replay.runner import Replayer
from curation_harness.replay.source import RecordedSource
from curation_plugins import selection
from curation_sandbox.gateway.desk import ReplyRefused
from curation_sandbox.protocol import PolicyFile
from made_records import TIME, made_spec
from test_harness_replay import body, record, replies

POLICY = b"import random\n"


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    """A run with model traffic and one submission, whole."""
    made = RunRecord.create(tmp_path / "runs", made_spec(), None)
    record(made.folder, body("a"), body("a", "1", "x"))
    chosen = selection.of_rows([1, 2, 3])
    (tmp_path / "policy.py").write_bytes(POLICY)
    submission = AttemptSubmission(
        n=1,
        key="key-000001",
        digest=chosen.digest(),
        rows=3,
        note="",
        policy=(PolicyFile(path="src/policy.py", blob=hashlib.sha256(POLICY).hexdigest()),),
        accepted=TIME,
    )
    made.write_submission(submission, chosen, {"src/policy.py": tmp_path / "policy.py"})
    return made


def reply_file(run: RunRecord, number: int) -> Path:
    entry = ExchangeLog(run.folder).entries()[number]
    (path,) = run.folder.rglob(f"{entry.response}.zst")
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def replay(run: RunRecord) -> None:
    """As far as a replay comes without a plan: whatever it starts needs one."""
    Replayer(run, *cast("Any", (None, run.spec.image, run.folder, run.folder, None))).run()


def refused(run: RunRecord) -> str:
    with pytest.raises(RecordInvalid) as told:
        replay(run)
    assert not (run.folder / "reruns").exists()
    return str(told.value)


def test_a_whole_record_passes_the_checks(run):
    with pytest.raises(AttributeError):  # there is no plan to go on with
        replay(run)


@pytest.mark.parametrize("number", [0, 1])
def test_a_flipped_byte_in_a_reply_is_named(run, number):
    path = reply_file(run, number)
    flip(path)
    assert str(path) in refused(run)


def test_a_missing_reply_is_named(run):
    path = reply_file(run, 1)
    path.unlink()
    assert str(path) in refused(run)


@pytest.mark.parametrize("lengths", [[8, 4], [-8, 19], []])
def test_pieces_of_another_length_than_the_reply_are_named(run, lengths):
    path = run.folder / "model" / "exchanges.jsonl"
    first, rest = path.read_text().split("\n", 1)
    changed = {**json.loads(first), "chunks": [[0.1, length] for length in lengths]}
    path.write_text(json.dumps(changed) + "\n" + rest)
    assert "model/exchanges.jsonl: the pieces of exchange 1" in refused(run)


@pytest.mark.parametrize("name", ["selection.jsonl", "policy/src/policy.py"])
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_a_submission_that_is_not_what_its_digests_say_is_named(run, name, harm):
    path = run.attempt_folder(1) / name
    if harm == "changed":
        flip(path)
    else:
        path.unlink()
    assert str(path) in refused(run)


def test_what_is_damaged_during_the_replay_is_no_fault_of_the_agents(run):
    source = RecordedSource(ExchangeLog(run.folder))
    flip(reply_file(run, 0))
    with pytest.raises(ReplyRefused, match="damaged"):
        replies(source, body("a"))
    assert str(reply_file(run, 0)) in str(source.damage)
