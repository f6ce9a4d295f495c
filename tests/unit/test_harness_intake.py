"""Submissions whose policy is run again first: replies, keys, clocks, refusals and what the record keeps."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation_harness.desk.earlier import cards_read, earlier_tries
from curation_harness.errors import ReproductionFailed
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.reproduction.runner import Ran
from curation_harness.run.loop import RunLoop
from curation_sandbox.errors import ContainerFailed, CurationError, EngineUnavailable
from curation_sandbox.protocol import (
    Accepted,
    Checking,
    Duplicate,
    PolicyFile,
    Refused,
    ReproduceRequest,
    ReproductionView,
    SubmitReply,
    SubmitRequest,
)
from curation_sandbox.submit_server import HandlerError
from local_policies import LocalPolicies

DIGEST = "0" * 64

POLICY = """
import argparse, random
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
rows = random.Random(int(given.seed)).sample(range(400), COUNT)
open(given.out, "w").write("".join(f"{row}\\n" for row in rows))
"""


@dataclass
class Agent:
    """Speaks to the handler as the submit server does."""

    loop: RunLoop
    policies: LocalPolicies
    folder: Path
    count: int = 0

    def rows(self, count: int) -> list[int]:
        return random.Random(self.loop.record.spec.seeds.agent).sample(range(400), count)

    def file(self, text: str) -> Path:
        self.count += 1
        path = self.folder / f"file-{self.count}"
        path.write_text(text)
        return path

    def submit(self, rows: Sequence[object], key: str = "", code: str | None = None, **files: str) -> SubmitReply:
        code = POLICY.replace("COUNT", str(len(rows))) if code is None else code
        policy = {name: self.file(text) for name, text in {"policy.py": code, **files}.items()}
        request = SubmitRequest(
            key=key or f"key-{self.count:06d}",
            data=DIGEST,
            policy=tuple(PolicyFile(path=name, blob=DIGEST) for name in policy),
        )
        return self.loop.handler.submit(request, self.file("".join(f"{row}\n" for row in rows)), policy)

    def settled(self, rows: Sequence[object], key: str = "the-key-1", code: str | None = None) -> SubmitReply:
        """The final reply, asked for as the server does."""
        self.submit(rows, key, code)
        self.loop.work_through()
        reply = self.loop.handler.submitted(key)
        assert reply is not None
        return reply

    def tried(self, rows: Sequence[object], code: str) -> ReproductionView:
        policy = {"policy.py": self.file(code)}
        request = ReproduceRequest(data=DIGEST, policy=(PolicyFile(path="policy.py", blob=f"{self.count:064x}"),))
        view = self.loop.handler.reproduce(request, self.file("".join(f"{row}\n" for row in rows)), policy)
        self.loop.work_through()
        found = self.loop.handler.reproduction(view.id)
        assert found is not None
        return found


@pytest.fixture
def open_agent(open_loop, tmp_path: Path) -> Callable[..., AbstractContextManager[Agent]]:
    @contextmanager
    def opened(*overrides: str, record: RunRecord | None = None) -> Iterator[Agent]:
        overrides = ("budgets.reproduce_seconds=5", *overrides)
        folder = tmp_path / "agent"
        folder.mkdir(exist_ok=True)
        with open_loop(*overrides, policies=LocalPolicies, record=record) as loop:
            policies = loop.parts.policies
            assert isinstance(policies, LocalPolicies)
            yield Agent(loop, policies, folder)

    return opened


def test_a_policy_that_makes_its_rows_again_is_accepted(open_agent):
    with open_agent() as agent:
        assert agent.submit(agent.rows(20), "the-key-1") == Checking(key="the-key-1")
        agent.loop.work_through()
        assert agent.loop.handler.submitted("the-key-1") == Accepted(attempt=1, rows=20)
        kept = agent.loop.record.submissions()[0].reproduction
        assert kept.ok
        assert kept.digest == agent.loop.record.submissions()[0].digest
        assert kept.functions == ("policy.py:<module>",)
        assert agent.loop.record.result(1).status == "scored"


def test_a_policy_that_makes_other_rows_is_refused_with_a_diff_and_costs_no_iteration(open_agent):
    with open_agent() as agent:
        reply = agent.settled(range(20))
        assert isinstance(reply, Refused)
        assert [problem.code for problem in reply.problems] == ["reproduce-differs"]
        assert ledger(agent.loop.record).iterations == 0
        refusal = agent.loop.record.refusals()[0]
        assert not refusal.reproduction.ok
        (earlier,) = earlier_tries(agent.loop.record)
        assert (earlier.outcome, earlier.n, earlier.refusal) == ("refused", None, 1)
        assert earlier.codes == ("reproduce-differs",)
        assert list(earlier.selection.rows) == list(range(20))
        assert earlier.policy["policy.py"].read_text() == POLICY.replace("COUNT", "20")


def test_everything_that_stands_against_a_submission_is_told_at_once(open_agent):
    with open_agent() as agent:
        code = POLICY.replace("COUNT", "9") + f"KEPT = {list(range(100))}\n"
        reply = agent.settled(range(20), code=code)
        found = {problem.code for problem in reply.problems}
        assert "reproduce-differs" in found
        assert len(found) >= 2, "the rows that the policy carries were not told"


def test_rows_that_cannot_be_read_are_refused_without_running_anything(open_agent):
    with open_agent() as agent:
        assert isinstance(agent.submit(["x"]), Refused)
        assert agent.policies.runs == 0
        (earlier,) = earlier_tries(agent.loop.record)
        assert earlier.selection is None


def test_the_same_key_while_the_policy_runs_is_the_same_submission(open_agent):
    with open_agent() as agent:
        slow = "import time; time.sleep(0.5)\n" + POLICY.replace("COUNT", "20")
        rows = agent.rows(20)
        replies = [agent.submit(rows, "the-key-1", slow) for _ in range(5)]
        assert set(replies) == {Checking(key="the-key-1")}
        with pytest.raises(HandlerError) as busy:
            agent.submit(agent.rows(21), "another-key")
        assert (busy.value.status, busy.value.error) == (409, "busy")
        assert "the-key-1" in busy.value.message
        agent.loop.work_through()
        assert agent.submit(rows, "the-key-1", slow) == Accepted(attempt=1, rows=20)
        assert agent.policies.runs == 1
        assert agent.submit(rows, "third-key", slow) == Duplicate(attempt=1)


def test_a_refusal_is_told_again_under_its_key_also_after_a_restart(open_agent):
    with open_agent() as agent:
        first = agent.settled(range(20), "the-key-1")
        record = agent.loop.record
    with open_agent(record=record) as agent:
        assert agent.loop.handler.submitted("the-key-1") == first
        assert agent.submit(range(20), "the-key-1") == first
        assert agent.policies.runs == 0


def test_an_engine_that_fails_is_ours_and_nothing_is_recorded_of_the_submission(open_agent):
    with open_agent() as agent:
        agent.policies.broken = True
        rows = agent.rows(20)
        agent.submit(rows, "the-key-1")
        agent.loop.work_through()
        with pytest.raises(HandlerError) as ours:
            agent.loop.handler.submitted("the-key-1")
        assert (ours.value.status, ours.value.error) == (500, "ours")
        assert ledger(agent.loop.record).refusals == 0
        assert not agent.loop.record.submissions()
        agent.policies.broken = False
        assert agent.settled(rows, "the-key-1") == Accepted(attempt=1, rows=20)


def test_policies_that_make_us_fail_again_and_again_are_tried_no_more(open_agent):
    """Attack: a policy that breaks its container computes for nothing, on no clock, under one key after the other."""
    with open_agent() as agent:
        agent.policies.broken = True
        allowed = 1 + agent.loop.record.spec.task.budgets.refunds
        for number in range(allowed):
            agent.submit(agent.rows(20), f"the-key-{number}")
            agent.loop.work_through()
        with pytest.raises(HandlerError) as spent:
            agent.submit(agent.rows(20), "another-key")
        assert spent.value.error == "budget-spent"
        assert agent.policies.runs == allowed


def failing(error: CurationError, cause: CurationError | None = None) -> Callable[..., Ran]:
    """A ``PolicyRunner.run`` that fails as the one that uses a container does."""

    def run(*_: object) -> Ran:
        raise error from cause

    return run


AWAY = EngineUnavailable("No Docker engine is running.")
NOT_STARTED = ContainerFailed("Could not start a container: the kernel refuses.")
AGAIN = ReproductionFailed("the policy could not be run again")


@pytest.mark.parametrize(("error", "cause"), [(AWAY, None), (AGAIN, AWAY)], ids=["itself", "as the cause"])
def test_an_engine_that_is_away_is_never_counted_against_the_agent(open_agent, monkeypatch, error, cause):
    """No policy can bring it about, and an outage may last for longer than failures are refunded."""
    with open_agent() as agent:
        rows, code = agent.rows(20), POLICY.replace("COUNT", "20")
        before = ledger(agent.loop.record)
        with monkeypatch.context() as outage:
            outage.setattr(agent.policies, "run", failing(error, cause))
            for number in range(2 + agent.loop.record.spec.task.budgets.refunds):
                agent.submit(rows, f"the-key-{number}")
                agent.loop.work_through()
                with pytest.raises(HandlerError) as ours:
                    agent.loop.handler.submitted(f"the-key-{number}")
                assert (ours.value.status, ours.value.error) == (500, "ours")
                assert agent.tried(rows, code).state == "failed"
        assert ledger(agent.loop.record) == before
        assert not agent.loop.record.refusals()
        assert agent.tried(rows, code).ok
        assert agent.settled(rows, "last-key") == Accepted(attempt=1, rows=20)


def test_a_container_that_could_not_be_started_is_no_refusal_and_no_attempt(open_agent, monkeypatch):
    with open_agent() as agent:
        rows = agent.rows(20)
        before = ledger(agent.loop.record)
        with monkeypatch.context() as once:
            once.setattr(agent.policies, "run", failing(AGAIN, NOT_STARTED))
            agent.submit(rows, "the-key-1")
            agent.loop.work_through()
            with pytest.raises(HandlerError) as ours:
                agent.loop.handler.submitted("the-key-1")
            assert (ours.value.status, ours.value.error) == (500, "ours")
        assert ledger(agent.loop.record) == before
        assert not agent.loop.record.refusals()
        assert agent.settled(rows, "the-key-1") == Accepted(attempt=1, rows=20)


def test_the_agents_clock_stands_still_while_its_policy_runs(open_agent):
    with open_agent() as agent:
        slow = "import time; time.sleep(1)\n" + POLICY.replace("COUNT", "20")
        agent.loop.clock.start()
        agent.submit(agent.rows(20), "the-key-1", slow)
        before = agent.loop.clock.spent()
        agent.loop.work_through()
        during = agent.loop.clock.spent() - before
        agent.loop.clock.stop()
        assert agent.loop.record.submissions()[0].reproduction.seconds >= 1
        assert during < 0.5


def test_nothing_of_a_submission_is_lost_when_the_harness_dies_while_the_policy_runs(open_agent):
    """Nothing was told, so nothing is recorded: the agent's next request under the key is a submission like any."""
    with open_agent() as agent:
        agent.submit(agent.rows(20), "the-key-1", "import time; time.sleep(1)\n" + POLICY.replace("COUNT", "20"))
        agent.loop.stop()
        record = agent.loop.record
    with open_agent(record=record) as agent:
        agent.loop.recover()
        assert agent.loop.handler.submitted("the-key-1") in (None, Accepted(attempt=1, rows=20))
        assert agent.settled(agent.rows(20), "the-key-1") == Accepted(attempt=1, rows=20)


# -- curate reproduce --------------------------------------------------------------------------------


def test_a_trial_says_what_a_submission_would_be_told_and_spends_nothing(open_agent):
    with open_agent() as agent:
        good = POLICY.replace("COUNT", "20")
        assert agent.tried(agent.rows(20), good).ok
        bad = agent.tried(range(20), good)
        assert (bad.state, bad.ok) == ("ready", False)
        assert bad.problems == agent.settled(range(20), code=good).problems
        assert ledger(agent.loop.record).iterations == 0
        assert ledger(agent.loop.record).refusals == 1
        assert [event.data["trial"] for event in agent.loop.record.events.of("reproduced")] == [True, True, False]


def test_trials_run_one_at_a_time_and_the_same_question_is_answered_once(open_agent):
    with open_agent() as agent:
        slow = "import time; time.sleep(0.5)\n" + POLICY.replace("COUNT", "20")
        request = ReproduceRequest(data=DIGEST, policy=())
        policy, data = {"policy.py": agent.file(slow)}, agent.file("1\n")
        first = agent.loop.handler.reproduce(request, data, policy)
        assert agent.loop.handler.reproduce(request, data, policy) == first
        with pytest.raises(HandlerError) as busy:
            agent.loop.handler.reproduce(ReproduceRequest(data="1" * 64, policy=()), data, policy)
        assert busy.value.error == "busy"
        agent.loop.work_through()
        assert agent.policies.runs == 1


def test_trials_without_end_are_stopped_until_something_is_submitted(open_agent, monkeypatch):
    monkeypatch.setattr("curation_harness.reproduction.trials.BETWEEN", 2)
    with open_agent() as agent:
        for _ in range(2):
            agent.tried(range(5), "raise SystemExit(1)")
        with pytest.raises(HandlerError) as many:
            agent.tried(range(5), "raise SystemExit(1)")
        assert (many.value.status, many.value.error) == (429, "too-many")
        agent.submit(["x"])
        assert not agent.tried(range(5), "raise SystemExit(1)").ok


def test_a_trial_that_the_engine_fails_on_is_ours_and_can_be_repeated(open_agent):
    with open_agent() as agent:
        agent.policies.broken = True
        failed = agent.tried(range(5), "pass")
        assert failed.state == "failed"
        assert "says nothing about it" in failed.failure


# -- what a policy finds at /history -----------------------------------------------------------------

READS_HISTORY = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
history = pathlib.Path(given.history)
told = json.loads((history / "history.json").read_text())
taken = {json.loads(line)["row"] for n in range(1, len(told["attempts"]) + 1)
         for line in open(history / "attempts" / str(n) / "selection.txt")}
values = [json.loads(line) for line in open(history / "signals" / "residual.jsonl")]
best = sorted((each for each in values if each["row"] not in taken), key=lambda each: each["value"])[:10]
open(given.out, "w").write("".join(f"{each['row']}\\n" for each in best))
"""


def test_a_policy_that_reads_scores_rows_and_bought_signals_is_made_again(open_agent):
    with open_agent() as agent:
        assert isinstance(agent.settled(agent.rows(30)), Accepted)
        handler = agent.loop.handler
        for rows in (range(0, 60, 2), range(1, 60), range(20)):
            view = handler.signal("residual", agent.file("".join(f"{row}\n" for row in rows)), None)
            agent.loop.work_through()
        assert view is not None
        saved = {file.path: handler.history_file(file.path).read_text() for file in handler.history_files()}
        assert set(saved) == {"history.json", "attempts/1/selection.txt", "signals/residual.jsonl"}
        rows = [int(line.split(":")[1].split(",")[0]) for line in saved["signals/residual.jsonl"].splitlines()]
        assert rows == list(range(60)), "every row once, ascending"
        taken = {json.loads(line)["row"] for line in saved["attempts/1/selection.txt"].splitlines()}
        values = [json.loads(line) for line in saved["signals/residual.jsonl"].splitlines()]
        left = sorted((each for each in values if each["row"] not in taken), key=lambda each: each["value"])
        chosen = [each["row"] for each in left[:10]]
        assert agent.settled(chosen, "second-key", READS_HISTORY) == Accepted(attempt=2, rows=10)


@pytest.mark.parametrize(
    "path", ["../run.json", "/etc/passwd", "attempts", "", "history.json/..", ".history.json.tmp"]
)
def test_no_other_file_than_those_listed_is_served(open_agent, path):
    with open_agent() as agent:
        assert agent.loop.handler.history_file(path) is None


def test_the_history_does_not_change_while_nothing_happens(open_agent):
    with open_agent() as agent:
        agent.settled(agent.rows(30))
        folder = agent.loop.handler.given.refreshed()
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
        time.sleep(0.02)
        agent.loop.handler.given.refreshed()
        assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


# -- method cards ------------------------------------------------------------------------------------


def test_a_run_without_cards_says_so(open_agent):
    with open_agent() as agent:
        for ask in (lambda: agent.loop.handler.methods(None, None), lambda: agent.loop.handler.method("semdedup")):
            with pytest.raises(HandlerError) as none:
                ask()
            assert none.value.status == 404
            assert "no method cards" in none.value.message


def test_readings_are_logged_with_when_they_were_first_made(open_loop):
    with open_loop(scaffold="references") as loop:
        handler, record = loop.handler, loop.record
        listed = handler.methods(None, None)
        assert len(listed.methods) == handler.task().methods > 0
        id = listed.methods[0].id
        assert handler.method(id).card["id"] == id
        loop.record.events.append("accepted", n=1, digest="", rows=0)
        handler.method(id)
        handler.method(listed.methods[1].id)
        assert cards_read(record) == {id: 0, listed.methods[1].id: 1}
        with pytest.raises(HandlerError):
            handler.method("no-such-card")
        assert len(record.events.of("method-read")) == 3


def test_a_loop_that_reads_cards_does_not_fill_the_log(open_loop, monkeypatch):
    monkeypatch.setattr("curation_harness.desk.methods.LOGGED", 3)
    with open_loop(scaffold="references") as loop:
        record = loop.record
        ids = [line.id for line in loop.handler.methods(None, None).methods[:5]]
        for _ in range(4):
            loop.handler.methods(None, None)
            for id in ids:
                loop.handler.method(id)
        assert len(record.events.of("methods-listed")) == 3
        assert set(cards_read(record)) == set(ids)
        assert len(record.events.of("method-read")) == 5


def test_two_threads_that_submit_at_once_make_one_submission(open_agent):
    with open_agent() as agent:
        rows, replies = agent.rows(20), []
        code = POLICY.replace("COUNT", "20")

        def hand_in(number: int) -> None:
            try:
                replies.append(agent.submit(rows, f"racing-{number:03d}", code))
            except HandlerError as error:
                replies.append(error.error)

        threads = [threading.Thread(target=hand_in, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(reply, Checking) for reply in replies) == 1
        agent.loop.work_through()
        assert len(agent.loop.record.submissions()) == 1
