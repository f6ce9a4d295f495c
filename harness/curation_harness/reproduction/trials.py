"""``curate reproduce``: a policy is run again before it is submitted, free, one at a time, and not without end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from curation_harness.attempts.work import HostWork
from curation_harness.record.store import RunRecord
from curation_harness.reproduction import failures
from curation_harness.reproduction.reproducer import Reproducer
from curation_plugins.errors import SubmissionRefused
from curation_plugins.gating import Reproduction
from curation_plugins.policies.carried import carried_data
from curation_plugins.selection import Selection
from curation_sandbox.errors import CurationError
from curation_sandbox.protocol import Problem, ReproduceRequest, ReproductionView
from curation_sandbox.submit_server import HandlerError

BETWEEN: Final = 20
"""Trials that each submission, refused or not, brings; a run begins with as many."""
KEPT: Final = 16
"""Answers that stay in memory."""
FUNCTIONS: Final = 1000
"""Functions that an answer names."""


@dataclass
class TrialDesk:
    """Reproduces policies of one run on request. What is answered is what a submission would be told."""

    record: RunRecord
    reproducer: Reproducer
    work: HostWork
    over: Callable[[], bool]
    _views: dict[str, ReproductionView] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, request: ReproduceRequest, data: Path, policy: Mapping[str, Path]) -> ReproductionView:
        """Begin, or answer at once what was asked before and nothing has changed since.

        Raises:
            HandlerError: the run is over, a trial is under way, or there were too many.
        """
        if self.over():
            raise HandlerError(410, "run-over", "the run is over; nothing more is tried")
        id = self._id(request)
        with self._lock:
            known = self._views.get(id)
            if known is not None and known.state != "failed":
                return known
            self._room()
            failures.require_few(self.record)
            try:
                chosen = self.reproducer.task.parse_submission(data, self.reproducer.assets)
            except SubmissionRefused as refused:
                return self._keep(ReproductionView(id=id, state="ready", ok=False, problems=refused.problems))
            view = self._keep(ReproductionView(id=id, state="working"))
        self.work.add(lambda: self._run(id, chosen, policy))
        return view

    def view(self, id: str) -> ReproductionView | None:
        with self._lock:
            return self._views.get(id)

    # -- pieces --------------------------------------------------------------------------------------

    def _id(self, request: ReproduceRequest) -> str:
        """Names the question: the same policy may do something else once the history has grown."""
        grown = len(self.record.events.of("accepted", "refused", "signal", "attempt-scored", "attempt-failed"))
        return hashlib.sha256(f"{grown} {request.model_dump_json()}".encode()).hexdigest()[:32]

    def _room(self) -> None:
        if any(view.state == "working" for view in self._views.values()):
            raise HandlerError(409, "busy", "a policy is being run already; one at a time")
        events = self.record.events
        tried = sum(1 for event in events.of("reproduced") if event.data["trial"])
        if tried >= BETWEEN * (1 + len(events.of("accepted", "refused"))):
            raise HandlerError(429, "too-many", f"{tried} policies were tried; {BETWEEN} more after a submission")

    def _run(self, id: str, chosen: Selection, policy: Mapping[str, Path]) -> None:
        try:
            found = self.reproducer.reproduce(policy, chosen)
            carried = carried_data(policy, self.reproducer.task.pool_rows(self.reproducer.assets))
        except CurationError as error:
            failures.note(self.record, error)
            with self._lock:
                failure = "the harness could not run the policy; that says nothing about it. Try again"
                self._keep(ReproductionView(id=id, state="failed", failure=failure))
            return
        self.record.events.append("reproduced", ok=found.ok, seconds=found.seconds, trial=True)
        with self._lock:
            self._keep(_ready(id, found, carried))

    def _keep(self, view: ReproductionView) -> ReproductionView:
        """Remembers an answer, of old ones only the last few. The lock is held by the caller."""
        self._views.pop(view.id, None)
        self._views[view.id] = view
        for old in list(self._views)[:-KEPT]:
            del self._views[old]
        return view


def _ready(id: str, found: Reproduction, carried: tuple[Problem, ...]) -> ReproductionView:
    return ReproductionView(
        id=id,
        state="ready",
        ok=found.ok and not carried,
        problems=(*found.problems, *carried),
        seconds=found.seconds,
        functions=tuple(f"{file}:{name}" for file, name in sorted(found.functions))[:FUNCTIONS],
    )
