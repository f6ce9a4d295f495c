"""Signals over pool rows, computed on the host for the agent: metered, cached by content."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from curation_harness.record import files
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.work import HostWork
from curation_plugins import selection as selections
from curation_plugins.api import EngineSession, Progress, Task
from curation_plugins.errors import SubmissionRefused, WorkerReplyInvalid, WorkFailed
from curation_plugins.jobs import SignalJob, SignalResult
from curation_plugins.selection import Selection
from curation_sandbox.protocol import SignalView
from curation_sandbox.submit_server import HandlerError


@dataclass
class SignalDesk:
    """Takes signal requests of one run."""

    record: RunRecord
    task: Task
    assets: Path
    session: EngineSession
    work: HostWork
    cache: Path
    """Shared between runs: a signal depends on the assets, the recipe and the rows only."""
    progress: Progress
    _views: dict[str, SignalView] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, name: str, rows: Path) -> SignalView:
        """Start computing a signal, or answer at once when these rows were asked for before.

        Raises:
            HandlerError: unknown signal, bad rows, or the budget is spent.
        """
        known = {signal.name for signal in self.task.signals()}
        if name not in known:
            offered = ", ".join(sorted(known)) or "none"
            raise HandlerError(404, "not-found", f"no signal {name[:60]!r}; this task offers: {offered}")
        chosen = self._rows(rows)
        key = self._key(name, chosen)
        with self._lock:
            view = self._views.get(key)
            if view is not None and view.state != "failed":
                return view.model_copy(update={"cached": view.state == "ready"})
            stored = self._stored(key)
            if stored is not None:
                self._views[key] = stored
                self._log(name, chosen, 0.0, cached=True)
                return stored
            self._charge()
            view = SignalView(id=key, name=name, state="working")
            self._views[key] = view
        self.work.add(lambda: self._compute(key, name, chosen))
        return view

    def view(self, key: str) -> SignalView | None:
        with self._lock:
            return self._views.get(key)

    def _rows(self, data: Path) -> Selection:
        pool_rows = self.task.pool_rows(self.assets)
        rules = self.task.config.submission.model_copy(update={"rows_max": pool_rows, "weights": False})
        try:
            return selections.parse(data, rules, pool_rows)
        except SubmissionRefused as refused:
            first = refused.problems[0]
            where = f" (line {first.row})" if first.row else ""
            raise HandlerError(400, "bad-request", first.message + where) from None

    def _key(self, name: str, chosen: Selection) -> str:
        named = f"{name}\n{self.record.spec.assets_digest}\n{self.record.spec.recipe_digest}\n"
        return hashlib.sha256(named.encode() + chosen.canonical()).hexdigest()[:32]

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
        limit = self.record.spec.task.budgets.signal_seconds
        if ledger(self.record).signal_seconds >= limit:
            raise HandlerError(403, "budget-spent", f"the {limit:g} seconds for signals are spent")

    def _compute(self, key: str, name: str, chosen: Selection) -> None:
        began = time.monotonic()
        job = SignalJob(name=name, rows=chosen.rows, assets=self.assets, recipe=self.task.config.recipe)
        try:
            result = self.session.call(self.task.worker("signal"), "signal", job, SignalResult, self.progress)
            if len(result.values) != len(chosen.rows):
                raise WorkerReplyInvalid(f"signal {name}: {len(result.values)} values for {len(chosen.rows)} rows")
        except WorkFailed:
            failed = SignalView(id=key, name=name, state="failed", failure="the harness failed; nothing was charged")
            with self._lock:
                self._views[key] = failed
            self.record.events.append("worker", what="signal-failed", name=name)
            return
        self._log(name, chosen, time.monotonic() - began, cached=False)
        view = SignalView(id=key, name=name, state="ready", rows=chosen.rows, values=result.values)
        self.cache.mkdir(parents=True, exist_ok=True)
        files.write_model(self.cache / f"{key}.json", view)
        with self._lock:
            self._views[key] = view

    def _stored(self, key: str) -> SignalView | None:
        path = self.cache / f"{key}.json"
        if not path.exists():
            return None
        return SignalView.model_validate(json.loads(path.read_bytes()) | {"cached": True})

    def _log(self, name: str, chosen: Selection, seconds: float, *, cached: bool) -> None:
        self.record.events.append("signal", name=name, rows=len(chosen.rows), seconds=seconds, cached=cached)
