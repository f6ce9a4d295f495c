"""Signals over pool rows, computed on the host for the agent: metered, in shards, cached by content."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from curation_harness.attempts.checkpoints import KeptModels
from curation_harness.attempts.work import HostWork
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.reproduction.history import HistoryFolder
from curation_harness.signal_shards import Shelf, measured, shards, shelf_of
from curation_plugins import assets as task_assets
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import SubmissionRefused, WorkFailed
from curation_plugins.jobs import SignalJob
from curation_sandbox.protocol import SignalInfo, SignalView
from curation_sandbox.submit_server import HandlerError

READY_KEPT = 8
"""Answers that stay in memory; whoever asks again for an older one gets it from the cache."""


@dataclass(frozen=True)
class Question:
    """What was asked for."""

    info: SignalInfo
    rows: tuple[int, ...]
    """Ascending."""
    attempt: int | None


@dataclass
class SignalDesk:
    """Takes signal requests of one run.

    A request is worked off in shards of rows. Each is charged and kept before the next one begins: the budget is
    overdrawn by one shard at most, and what was measured is never measured again, whoever asks for it.
    """

    record: RunRecord
    task: Task
    assets: Path
    session: EngineSession
    work: HostWork
    cache: Path
    """Shared between runs: a signal of the base model depends on the assets, the recipe and the rows only."""
    progress: Progress
    over: Callable[[], bool] = lambda: False
    """Whether nobody waits for an answer any more: no further shard is begun then."""
    given: HistoryFolder | None = None
    """Where what was measured for the agent is kept for its policies."""
    _views: dict[str, SignalView] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, name: str, rows: Path, attempt: int | None) -> SignalView:
        """Start computing a signal, or answer at once when these rows were asked for before.

        Raises:
            HandlerError: unknown signal, bad rows, a model that is not there, or the budget is spent.
        """
        info = self._info(name)
        self._model(info, attempt)
        asked = Question(info, self._rows(info, rows), attempt)
        shelf = self._shelf(asked)
        key = shelf.key(asked.rows)
        with self._lock:
            view = self._views.get(key)
            if view is not None and view.state != "failed" and not view.unmeasured:
                return view.model_copy(update={"cached": view.state == "ready"})
            stored = shelf.find(asked.rows)
            if stored is not None:
                self._log(asked, len(asked.rows), 0.0, cached=True)
                return self._keep(self._ready(key, asked, stored).model_copy(update={"cached": True}))
            self._charge()
            view = SignalView(id=key, name=name, state="working", attempt=attempt)
            self._views[key] = view
        self.work.add(lambda: self._compute(key, asked, shelf))
        return view

    def view(self, key: str) -> SignalView | None:
        with self._lock:
            return self._views.get(key)

    # -- what is asked for ---------------------------------------------------------------------------

    def _info(self, name: str) -> SignalInfo:
        offered = {signal.name: signal for signal in self.task.signals()}
        if name not in offered:
            names = ", ".join(sorted(offered)) or "none"
            raise HandlerError(404, "not-found", f"no signal {name[:60]!r}; this task offers: {names}")
        missing = self.task.signal_missing(name, self.assets)
        if missing is not None:
            raise HandlerError(404, "not-found", f"signal {name} cannot be had here: {missing}")
        return offered[name]

    def _model(self, info: SignalInfo, attempt: int | None) -> Path | None:
        """The model to measure with; none is the base model. Only this run's own attempts are looked at."""
        if attempt is None:
            return None
        if not info.of_attempts:
            raise HandlerError(400, "bad-request", f"signal {info.name} has nothing to do with an attempt's model")
        models = KeptModels(self.record)
        model = models.find(attempt)
        if model is None:
            kept = ", ".join(map(str, models.kept())) or "none"
            raise HandlerError(
                404,
                "not-found",
                f"there is no model of attempt {attempt}: this run keeps {_POLICIES[models.policy.keep]};"
                f" those of these attempts are there now: {kept}",
            )
        return model

    def _rows(self, info: SignalInfo, data: Path) -> tuple[int, ...]:
        pool_rows = self.task.pool_rows(self.assets)
        most = pool_rows if info.rows_max is None else min(pool_rows, info.rows_max)
        rules = self.task.config.submission.model_copy(update={"rows_max": most, "weights": False})
        try:
            return tuple(self.task.parse_submission(data, self.assets, rules, any_row=True).rows)
        except SubmissionRefused as refused:
            first = refused.problems[0]
            where = f" (line {first.row})" if first.row else ""
            raise HandlerError(400, "bad-request", first.message + where) from None

    def _shelf(self, asked: Question) -> Shelf:
        spec = self.record.spec
        model = "base" if asked.attempt is None else f"{spec.run_id}/{asked.attempt}"
        files = task_assets.base_digest(self.assets)
        return shelf_of(self.cache, asked.info.name, files, spec.recipe_digest, model)

    def _charge(self) -> None:
        """Raises:
        HandlerError: one is under way (so that seconds are counted before more are spent), the budget is spent,
            or the harness failed too often: making it fail is no free retry.
        """
        working = [view.name for view in self._views.values() if view.state == "working"]
        if working:
            raise HandlerError(409, "busy", f"signal {working[0]} is still being computed; one at a time")
        failures = [event for event in self.record.events.of("worker") if event.data.get("what") == "signal-failed"]
        if len(failures) > self.record.spec.task.budgets.refunds:
            raise HandlerError(
                403, "budget-spent", f"the harness failed on {len(failures)} signals; no more are tried"
            )
        if self._spent():
            limit = self.record.spec.task.budgets.signal_seconds
            raise HandlerError(403, "budget-spent", f"the {limit:g} seconds for signals are spent")

    def _spent(self) -> bool:
        return ledger(self.record).signal_seconds >= self.record.spec.task.budgets.signal_seconds

    # -- the work ------------------------------------------------------------------------------------

    def _compute(self, key: str, asked: Question, shelf: Shelf) -> None:
        values: list[float | tuple[float, ...] | None] = []
        try:
            model = self._model(asked.info, asked.attempt)
            for part in shards(asked.rows):
                found = shelf.find(part)
                if found is None:
                    if self.over() or (self._spent() and not self._charged(shelf.key(part))):
                        break
                    found = self._measure(asked, part, model, shelf.key(part))
                    shelf.put(part, found)
                values += found
                self.progress(f"signal {asked.info.name}", len(values) / len(asked.rows))
        except HandlerError as gone:  # the policy removed the model while the request waited its turn
            self._fail(key, asked, gone.message)
            return
        except WorkFailed:
            self.record.events.append("worker", what="signal-failed", name=asked.info.name)
            self._fail(key, asked, "the harness failed; the rows it failed on were not charged")
            return
        with self._lock:
            self._keep(self._ready(key, asked, values))

    def _measure(
        self, asked: Question, rows: tuple[int, ...], model: Path | None, part: str
    ) -> Sequence[float | tuple[float, ...] | None]:
        began = time.monotonic()
        job = SignalJob(
            name=asked.info.name, rows=rows, assets=self.assets, recipe=self.task.config.recipe, model=model
        )
        result = measured(self.session, self.task, job, self.progress)
        held = time.monotonic() - began
        seconds = held if result.seconds is None else min(result.seconds, held)
        if not self._charged(part):
            self._log(asked, len(rows), seconds, cached=False, part=part)
        return result.values

    def _charged(self, part: str) -> bool:
        """Whether this run paid for the shard: a kill may have come before it was kept."""
        return any(event.data.get("part") == part for event in self.record.events.of("signal"))

    def _ready(self, key: str, asked: Question, values: Sequence[float | tuple[float, ...] | None]) -> SignalView:
        rows = asked.rows[: len(values)]
        if self.given is not None:  # before the agent has them: it may hand in at once what rests on them
            self.given.add_signal(asked.info.name, asked.attempt, rows, values)
        return SignalView(
            id=key,
            name=asked.info.name,
            state="ready",
            attempt=asked.attempt,
            rows=rows,
            values=tuple(values),
            unmeasured=len(asked.rows) - len(rows),
        )

    def _keep(self, view: SignalView) -> SignalView:
        """Remembers a view; of those that hold values only the last few. The lock is held by the caller."""
        self._views.pop(view.id, None)
        self._views[view.id] = view
        ready = [key for key, one in self._views.items() if one.state == "ready"]
        for key in ready[:-READY_KEPT]:
            del self._views[key]
        return view

    def _fail(self, key: str, asked: Question, why: str) -> None:
        failed = SignalView(id=key, name=asked.info.name, state="failed", attempt=asked.attempt, failure=why)
        with self._lock:
            self._views[key] = failed

    def _log(self, asked: Question, rows: int, seconds: float, *, cached: bool, part: str | None = None) -> None:
        of = {} if asked.attempt is None else {"attempt": asked.attempt}
        shard = {} if part is None else {"part": part}
        self.record.events.append(
            "signal", name=asked.info.name, rows=rows, seconds=seconds, cached=cached, **of, **shard
        )


_POLICIES = {
    "best": "the model of its best attempt only",
    "all": "the models of all scored attempts",
    "none": "no models",
}
