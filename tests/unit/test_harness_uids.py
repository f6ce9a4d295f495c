"""A run of kind ``uids``: the whole way from a list of uids to the record, the history and the report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from curation_harness.desk.earlier import earlier_tries
from curation_harness.diagnostics.tries import read_run
from curation_harness.errors import RecordInvalid
from curation_harness.record.integrity import check_submissions
from curation_harness.report.content import gather
from curation_harness.report.pool import view
from curation_harness.run.loop import RunLoop
from curation_plugins import uid_lists
from curation_plugins.config import SubmissionRules
from curation_plugins.selection import Selection, of_rows, read_canonical
from curation_probe.task import ProbeTask
from curation_sandbox.protocol import Accepted, Duplicate, PolicyFile, Refused, SubmitReply, SubmitRequest
from local_policies import LocalPolicies

ROWS = 400
POLICY = """
import argparse, hashlib
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
earlier = Path(given.history) / "attempts/1/selection.npy"
rows = range(50)
made = "".join(f"{row:04x}{hashlib.sha256(str(row).encode()).hexdigest()[:28]}\\n" for row in rows).encode()
Path(given.out).write_bytes(earlier.read_bytes() if earlier.exists() else made)
"""


def uid_of(row: int) -> str:
    return f"{row:04x}{hashlib.sha256(str(row).encode()).hexdigest()[:28]}"


UIDS = uid_lists.of_hex([uid_of(row) for row in range(ROWS)])


@dataclass
class Agent:
    """Hands in files as the submit server does."""

    loop: RunLoop
    folder: Path
    count: int = 0

    def file(self, data: bytes) -> Path:
        self.count += 1
        path = self.folder / f"file-{self.count}"
        path.write_bytes(data)
        return path

    def submit(self, data: bytes, key: str = "") -> SubmitReply:
        files = {"policy.py": self.file(POLICY.encode())}
        policy = (PolicyFile(path="policy.py", blob=hashlib.sha256(POLICY.encode()).hexdigest()),)
        request = SubmitRequest(key=key or f"key-{self.count:06d}", data="0" * 64, policy=policy)
        reply = self.loop.handler.submit(request, self.file(data), files)
        self.loop.work_through()
        return self.loop.handler.submitted(request.key) or reply


@pytest.fixture
def open_uids(
    open_loop: Callable[..., AbstractContextManager[RunLoop]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[Agent]]:
    """The probe, whose rows have uids."""
    np.save(tmp_path / "uids.npy", UIDS)

    def parse(
        self: ProbeTask, data: Path, assets: Path, rules: SubmissionRules | None = None, any_row: bool = False
    ) -> Selection:
        return uid_lists.parse(data, rules or self.config.submission, tmp_path / "uids.npy")

    def write(self: ProbeTask, selection: Selection, path: Path, assets: Path) -> None:
        uid_lists.write_subset(path, uid_lists.of_selection(selection, tmp_path / "uids.npy"))

    monkeypatch.setattr(ProbeTask, "parse_submission", parse)
    monkeypatch.setattr(ProbeTask, "write_submission", write)

    @contextmanager
    def opened(*overrides: str, **more: object) -> Iterator[Agent]:
        kind = ("submission.kind=uids", "submission.repeats_max=3", "budgets.reproduce_seconds=20")
        folder = tmp_path / "agent"
        folder.mkdir(exist_ok=True)
        with open_loop(*kind, *overrides, **more) as loop:
            yield Agent(loop, folder)

    return opened


def listed(rows: Sequence[int]) -> bytes:
    return "".join(f"{uid_of(row)}\n" for row in rows).encode()


def test_a_list_goes_the_whole_way(open_uids: Callable[..., AbstractContextManager[Agent]]) -> None:
    with open_uids() as agent:
        told = agent.loop.handler.task()
        assert (told.kind, told.repeats_max, told.max_bytes) == ("uids", 3, 16 * 2**20)
        checked = agent.loop.handler.check(agent.file(listed([9, 3, 3])))
        assert checked.ok
        reply = agent.submit(listed([*range(60, 20, -1), 60]), "the-first-1")
        assert isinstance(reply, Accepted)
        assert reply.rows == 40
        assert [note.split(" (")[0] for note in reply.notes] == [
            "the list was not sorted",
            "40 uids, 41 samples with their repeats",
        ]
        assert agent.loop.handler.submitted("the-first-1") == reply, "told again in the same words"
        record = agent.loop.record
        kept = read_canonical(record.selection_file(1))
        assert record.selection_file(1).name == "selection.npy"
        assert list(kept.rows) == list(range(21, 61))
        assert kept.weights[-1] == 2.0
        assert record.submissions()[0].notes == reply.notes
        result = record.result(1)
        assert result is not None
        assert result.status == "scored", result.failure
        assert result.truth is not None
        check_submissions(record)
        again = agent.submit(listed([*range(21, 61), 60]))
        assert again == Duplicate(attempt=1)


def test_a_refused_list_is_told_by_uid_and_kept_where_it_could_be_read(
    open_uids: Callable[..., AbstractContextManager[Agent]],
) -> None:
    with open_uids(policies=LocalPolicies) as agent:
        unknown = agent.submit(listed([1, 2]) + b"f" * 32 + b"\n")
        assert isinstance(unknown, Refused)
        assert [problem.code for problem in unknown.problems] == ["unknown-uid"]
        assert "f" * 32 in unknown.problems[0].message
        first = agent.submit(listed(range(50)))
        assert isinstance(first, Accepted), first
        history = agent.loop.record.folder / "history" / "attempts" / "1" / "selection.npy"
        other = agent.submit(listed(range(100, 120)))  # and its policy makes attempt 1 again
        assert history.is_file()
        assert np.load(history).tolist() == UIDS[:50].tolist()
        assert isinstance(other, Refused)
        (problem,) = [one for one in other.problems if one.code == "reproduce-differs"]
        assert "20 rows of the submission were not made again" in problem.message
        tries = earlier_tries(agent.loop.record)
        assert [one.selection == of_rows(range(100, 120), "uids") for one in tries] == [False, False, True]


def test_the_report_and_the_diagnosis_read_the_record(
    open_uids: Callable[..., AbstractContextManager[Agent]],
) -> None:
    with open_uids() as agent:
        for rows in (range(50), range(25, 75)):
            assert isinstance(agent.submit(listed(rows)), Accepted)
        record, parts = agent.loop.record, agent.loop.parts
        pool = view(record.spec, parts.task, parts.assets)
        content = gather(record, pool)
        assert content.overlap == [[1.0, pytest.approx(1 / 3)], [pytest.approx(1 / 3), 1.0]]
        mix = content.attempts[0].mix
        assert mix is not None
        assert sum(mix.values()) == 50
        tries = read_run(record, pool.sources).tries
        assert [list(one.rows or ()) for one in tries] == [list(range(50)), list(range(25, 75))]
        record.selection_file(1).write_bytes(b"\x93NUMPY\x01\x00damaged")
        with pytest.raises(RecordInvalid, match=r"selection\.npy"):
            gather(record, pool)
