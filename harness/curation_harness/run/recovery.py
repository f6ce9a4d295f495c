"""What a killed process left of a run, put right before another goes on with it.

Everything durable appears whole or not at all; what can be missing after a kill is the next thing: the event that
tells of a file, the charge for work that was done, the removal of a scratch file. Each is found from the record alone
and made up for once, however often a run is killed and resumed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from curation_harness.attempts.checkpoints import KeptModels
from curation_harness.attempts.clock import PULSE, Pulse
from curation_harness.attempts.trial import KEPT
from curation_harness.prices import PriceTable
from curation_harness.record.events import Event
from curation_harness.record.exchanges import ExchangeLog, call_event
from curation_harness.record.store import RunRecord
from curation_sandbox.gateway.exchange import Usage

SCRATCH: Final = (
    ".*",
    "attempts/.*",
    "attempts/*/.*",
    "refusals/.*",
    "headline/*/*/.*",
    "history/.*",
    "history/signals/.*",
    "history/attempts/*/.*",
    "model/bodies/*/.*",
    "policies",
    PULSE,
)
"""What only a process at work has; the clock's note is charged by then. Never looked for in what agents and trainers
made: their files may be named so."""

LOST: Final = "lost"
"""Outcome of a request to the model whose end nobody saw."""


def recover_clock(record: RunRecord) -> None:
    """Charge the agent's seconds that a killed process had counted and not yet logged."""
    seconds = Pulse(record.folder).unlogged(len(record.events.of("clock")))
    if seconds > 0:
        record.events.append("clock", agent_seconds=seconds)


def recover(record: RunRecord) -> None:
    """Put everything right but the clock. May be killed itself, and done again."""
    clear_scratch(record)
    _tell_submissions(record)
    _tell_refusals(record)
    _tell_results(record)
    KeptModels(record).settle()
    _charge_calls(record)


def clear_scratch(record: RunRecord) -> None:
    """Remove what only a write under way has; the caller holds the record's lock."""
    for path in _scratch(record):
        _remove(path)


def _scratch(record: RunRecord) -> Iterator[Path]:
    for pattern in SCRATCH:
        for path in sorted(record.folder.glob(pattern)):
            # a trainer's own state is of use until its attempt has come to an end
            if not path.name.startswith(KEPT) or (path.parent / "result.json").exists():
                yield path
    for path in sorted(record.folder.glob("refusals/[0-9]*")):
        if path.is_dir() and not path.with_suffix(".json").exists():
            yield path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _tell_submissions(record: RunRecord) -> None:
    known = {event.data["n"] for event in record.events.of("accepted")}
    for submission in record.submissions():
        if submission.n not in known:  # its folder was published; the kill came before the event
            record.events.append("accepted", n=submission.n, digest=submission.digest, rows=submission.rows)


def _tell_refusals(record: RunRecord) -> None:
    counted = {event.data["n"] for event in record.events.of("refused")}
    for refusal in record.refusals():
        if refusal.n not in counted:
            codes = sorted({problem.code for problem in refusal.problems})
            record.events.append("refused", n=refusal.n, codes=codes)


def _tell_results(record: RunRecord) -> None:
    told = {event.data["n"] for event in record.events.of("attempt-scored", "attempt-failed")}
    for result in record.results():
        if result.n in told:
            continue
        if result.public is not None:
            record.events.append("attempt-scored", n=result.n, mean=result.public.mean)
        else:
            failure = (result.failure or "").partition(":")[0]
            record.events.append("attempt-failed", n=result.n, failure=failure, refunded=result.refunded)


def _charge_calls(record: RunRecord) -> None:
    """Count requests to the model whose event is missing: by their exchange if there is one, else, as far as is
    known of a request that was sent and whose end nobody saw."""
    called = {event.data["id"] for event in record.events.of("model-call")}
    exchanges = {entry.id: entry for entry in ExchangeLog(record.folder).entries()}
    for entry in exchanges.values():
        if entry.counted and entry.id not in called:
            record.events.append("model-call", **call_event(entry))
    for asked in record.events.of("model-asked"):
        if asked.data["id"] not in called and asked.data["id"] not in exchanges:
            _charge_lost(record, asked)


def _charge_lost(record: RunRecord, asked: Event) -> None:
    used, dollars = record.spec.model, None
    if used is not None:
        at = datetime.fromisoformat(asked.time).timestamp()
        usage = Usage(input=asked.data["tokens"], estimated=True)
        dollars = PriceTable(used.provider, used.prices).dollars(asked.data["model"], usage, at)
    record.events.append(
        "model-call",
        id=asked.data["id"],
        outcome=LOST,
        status=0,
        tokens=asked.data["tokens"],
        dollars=dollars,
        seconds=0.0,
    )
