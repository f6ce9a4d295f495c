"""Submissions of one run, from the request to an attempt or a refusal; each has one reply, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from curation_harness.attempts.work import HostWork
from curation_harness.desk.earlier import cards_read, earlier_tries
from curation_harness.record.events import now
from curation_harness.record.models import AttemptResult, AttemptSubmission, Refusal, ReproductionKept
from curation_harness.record.state import iterations_left, ledger
from curation_harness.record.store import RunRecord
from curation_harness.reproduction import failures
from curation_harness.reproduction.reproducer import Reproducer
from curation_plugins.api import Scaffold, Task
from curation_plugins.errors import SubmissionRefused
from curation_plugins.gating import GateView, PoolMetadata, Reproduction
from curation_plugins.policies.carried import carried_data
from curation_plugins.selection import Selection
from curation_sandbox.errors import CurationError
from curation_sandbox.protocol import (
    Accepted,
    Checking,
    Duplicate,
    Problem,
    Refused,
    SubmitReply,
    SubmitRequest,
)
from curation_sandbox.submit_server import HandlerError

MAX_DUPLICATES: Final = 100
"""Repetitions of accepted content in a run: each is an event on disk, and a loop of them tells nobody anything."""
QUARANTINE_AFTER: Final = 2
"""Content on which the harness failed this often is not tried again: crashing a trainer is no free retry."""
REFUSED_BYTES: Final = 2**20
"""A refused policy with more than this, all files together, is not kept: refusals are many."""
FAILED: Final = "the harness could not run the policy again, which is no fault of yours: submit again"


@dataclass(frozen=True)
class Handed:
    """A submission whose rows could be read."""

    request: SubmitRequest
    policy: Mapping[str, Path]
    chosen: Selection
    digest: str


@dataclass
class Intake:
    """Takes submissions, one at a time."""

    record: RunRecord
    plugin: Task
    scaffold: Scaffold
    assets: Path
    work: HostWork
    reproducer: Reproducer
    over: Callable[[], bool]
    """Whether the agent's part of the run is over."""
    begin: Callable[[int], None]
    """Told the number of each new attempt, once it is on disk."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _checking: str | None = None
    """Key of the submission whose policy is being run again."""
    _failed: set[str] = field(default_factory=set)
    """Keys of submissions that we failed on; told once, and then they may be tried again."""

    def __post_init__(self) -> None:
        self._pool_rows = self.plugin.pool_rows(self.assets)
        self._metadata = PoolMetadata(self._pool_rows, lambda: self.plugin.metadata(self.assets))

    def parse(self, data: Path) -> Selection:
        """Raises:
        SubmissionRefused: with every reason.
        """
        return self.plugin.parse_submission(data, self.assets)

    def submit(self, request: SubmitRequest, data: Path, policy: Mapping[str, Path]) -> SubmitReply:
        """Take a submission, or say again what its key was told."""
        with self._lock:
            known = self.submitted(request.key)
            if known is not None:
                return known
            self._open_for_submissions()
            try:
                chosen = self.parse(data)
            except SubmissionRefused as refused:
                return self._refuse(request, policy, refused.problems, refused.more_problems)
            handed = Handed(request, policy, chosen, chosen.digest())
            earlier = self._accepted_before(handed.digest)
            if earlier is not None:
                self._cap_duplicates()
                self.record.events.append("duplicate", attempt=earlier, key=request.key)
                return Duplicate(attempt=earlier)
            if not self.record.spec.reproduce_policy:
                return self._decide(handed, None)
            failures.require_few(self.record)
            self._checking = request.key
            self.work.add(lambda: self._check(handed))
            return Checking(key=request.key)

    def submitted(self, key: str) -> SubmitReply | None:
        """How the submission of this key stands; none: it was never taken.

        Raises:
            HandlerError: we failed on it. The next time it is as if it had never been sent.
        """
        if self._checking == key:
            return Checking(key=key)
        with self._lock:
            if key in self._failed:
                self._failed.discard(key)
                raise HandlerError(500, "ours", FAILED)
            return self._recorded(key)

    def unfinished(self) -> int | None:
        """The attempt that is queued or under way."""
        finished = {result.n for result in self.record.results()}
        open_ones = [s.n for s in self.record.submissions() if s.n not in finished]
        return open_ones[0] if open_ones else None

    # -- running the policy again ------------------------------------------------------------------------

    def _check(self, handed: Handed) -> None:
        """Run in the thread of the host's work, while the agent's clock stands still."""
        key = handed.request.key
        try:
            found = self.reproducer.reproduce(handed.policy, handed.chosen)
            self.record.events.append("reproduced", ok=found.ok, seconds=found.seconds, trial=False)
            with self._lock:
                self._decide(handed, found)
                self._checking = None
        except CurationError as error:
            failures.note(self.record, error)
            with self._lock:
                self._failed.add(key)
                self._checking = None

    def _decide(self, handed: Handed, found: Reproduction | None) -> SubmitReply:
        problems = tuple(dict.fromkeys(self._problems(handed, found)))
        if problems:
            return self._refuse(handed.request, handed.policy, problems, 0, handed, found)
        return self._accept(handed, found)

    def _problems(self, handed: Handed, found: Reproduction | None) -> Iterator[Problem]:
        """Everything that stands against a submission, at once."""
        yield from self._quarantine(handed.digest)
        if found is not None:
            yield from found.problems
            if not self.scaffold.reproduces:  # the gate of one that does looks itself
                yield from carried_data(handed.policy, self._pool_rows)
        view = GateView(
            request=handed.request,
            policy=handed.policy,
            selection=handed.chosen,
            pool=self._metadata,
            earlier=earlier_tries(self.record),
            cards_read=cards_read(self.record),
            reproduction=found if found is not None and found.ok else None,
        )
        yield from self.scaffold.gate(view)

    # -- what stands in the way --------------------------------------------------------------------------

    def _recorded(self, key: str) -> SubmitReply | None:
        """The reply this idempotency key got before, from the record, so that a restart forgets none."""
        for submission in self.record.submissions():
            if submission.key == key:
                return Accepted(attempt=submission.n, rows=submission.rows, notes=submission.notes)
        for refusal in self.record.refusals():
            if refusal.key == key:
                return self._refused(refusal)
        for event in self.record.events.of("duplicate"):
            if event.data["key"] == key:
                return Duplicate(attempt=event.data["attempt"])
        return None

    def _open_for_submissions(self) -> None:
        spent = ledger(self.record)
        limits = self.record.spec.task.budgets
        if self.over():
            raise HandlerError(410, "run-over", "the run is over; no more submissions are taken")
        if self._checking is not None:
            message = f"a policy is being run again; `curate submit … --key {self._checking}` waits for its answer"
            raise HandlerError(409, "busy", message)
        n = self.unfinished()
        if n is not None:
            raise HandlerError(409, "busy", f"attempt {n} is still running; `curate wait {n}` waits for it")
        if iterations_left(self.record) <= 0:
            raise HandlerError(
                403, "budget-spent", f"all {limits.iterations} iterations are spent; `curate done` ends the run"
            )
        if spent.refusals >= limits.refusals:
            raise HandlerError(403, "budget-spent", f"{spent.refusals} submissions were refused; no more are taken")

    def _cap_duplicates(self) -> None:
        if len(self.record.events.of("duplicate")) >= MAX_DUPLICATES:
            message = f"accepted content was repeated {MAX_DUPLICATES} times; `curate history` has its scores"
            raise HandlerError(403, "budget-spent", message)

    def _accepted_before(self, digest: str) -> int | None:
        """The attempt with the same content whose result stands; attempts we failed on do not count."""
        for submission in self.record.submissions():
            result = self.record.result(submission.n)
            if submission.digest == digest and (result is None or result.status == "scored"):
                return submission.n
        return None

    def _quarantine(self, digest: str) -> Sequence[Problem]:
        failures = [
            submission.n
            for submission in self.record.submissions()
            if submission.digest == digest and _failed(self.record.result(submission.n))
        ]
        if len(failures) < QUARANTINE_AFTER:
            return ()
        message = (
            f"the harness failed on exactly these rows in attempts {failures}; they are not tried again. Submit"
            " other rows."
        )
        return (Problem(code="quarantined", message=message),)

    # -- what becomes of it ------------------------------------------------------------------------------

    def _accept(self, handed: Handed, found: Reproduction | None) -> Accepted:
        n = len(self.record.submissions()) + 1
        request, rows = handed.request, len(handed.chosen.rows)
        submission = AttemptSubmission(
            n=n,
            key=request.key,
            digest=handed.digest,
            rows=rows,
            note=request.note,
            policy=request.policy,
            accepted=now(),
            notes=handed.chosen.notes,
            cited=self.scaffold.cites(handed.policy),
            reproduction=_kept(found),
        )
        self.record.write_submission(submission, handed.chosen, handed.policy)
        self.record.events.append("accepted", n=n, digest=handed.digest, rows=rows)
        self.begin(n)
        return Accepted(attempt=n, rows=rows, notes=submission.notes)

    def _refuse(
        self,
        request: SubmitRequest,
        policy: Mapping[str, Path],
        problems: Sequence[Problem],
        more_problems: int,
        handed: Handed | None = None,
        found: Reproduction | None = None,
    ) -> Refused:
        small = sum(path.stat().st_size for path in policy.values()) <= REFUSED_BYTES
        refusal = Refusal(
            n=len(self.record.events.of("refused")) + 1,
            key=request.key,
            problems=tuple(problems),
            more_problems=more_problems,
            refused=now(),
            note=request.note,
            digest=None if handed is None else handed.digest,
            policy=request.policy,
            cited=self.scaffold.cites(policy),
            reproduction=_kept(found),
        )
        chosen = None if handed is None else handed.chosen
        self.record.write_refusal(refusal, chosen, policy if small else {})
        self.record.events.append("refused", n=refusal.n, codes=sorted({p.code for p in problems}))
        return self._refused(refusal)

    def _refused(self, refusal: Refusal) -> Refused:
        left = self.record.spec.task.budgets.refusals - len(self.record.events.of("refused"))
        return Refused(
            refusal=refusal.n,
            problems=refusal.problems,
            more_problems=refusal.more_problems,
            refusals_left=max(0, left),
        )


def _kept(found: Reproduction | None) -> ReproductionKept | None:
    if found is None:
        return None
    functions = tuple(f"{file}:{name}" for file, name in sorted(found.functions))
    return ReproductionKept(ok=found.ok, seconds=found.seconds, functions=functions, digest=found.digest)


def _failed(result: AttemptResult | None) -> bool:
    return result is not None and result.status == "failed"
