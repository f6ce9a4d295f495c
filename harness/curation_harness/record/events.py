"""The event log of a run: one JSON object a line, appended and fsynced, never changed.

| kind | when | data |
|---|---|---|
| ``created`` | the run folder is there | ``spec``: a digest of every field of run.json |
| ``agent-started`` | the container of a turn of the agent runs | ``container``, ``turn`` |
| ``clock`` | the agent's clock stopped, or a minute passed | ``agent_seconds`` since the last one |
| ``refused`` | a submission was refused | ``n``, ``codes`` |
| ``duplicate`` | content that was accepted before | ``attempt`` |
| ``accepted`` | a submission became attempt n | ``n``, ``digest``, ``rows`` |
| ``reproduced`` | a policy was run again by the host | ``ok``, ``seconds``, ``trial`` (``curate reproduce``) |
| ``methods-listed`` | method cards were listed | ``family``, ``search``, ``count`` |
| ``method-read`` | a method card was read | ``id``, ``attempts`` (accepted before) |
| ``attempt-started`` | its turn came | ``n`` |
| ``attempt-scored`` | result written | ``n``, ``mean`` |
| ``attempt-failed`` | we failed on it | ``n``, ``failure``, ``refunded`` |
| ``checkpoint-kept`` | its trained model stays on disk | ``n``, ``bytes`` |
| ``checkpoint-removed`` | its trained model was removed from disk, by the task's policy | ``n``, ``bytes`` |
| ``worker`` | a worker was restarted or a job retried | ``what``, … |
| ``server-error`` | the submit server failed on a request; ``server.log`` has it | ``error`` |
| ``signal`` | a shard measured, or all found | ``name``, ``rows``, ``seconds``, ``cached``, ``attempt``, ``part`` |
| ``oom-kill`` | a process in the container was killed for memory | ``count`` |
| ``done`` | the agent called ``curate done`` | |
| ``budget-spent`` | a budget ended the agent's part | ``budget`` |
| ``interrupted`` | Ctrl-C or a signal | |
| ``agent-exited`` | the container ended | ``code``, ``oom_killed``, ``turn`` |
| ``agent-lost`` | its container, engine, sockets or model went away, no fault of its own | ``what``, ``error`` |
| ``agent-idle`` | it neither asked its model nor printed anything; it is ended | ``seconds`` |
| ``agent-lingers`` | its program went on after its last word; it is ended | |
| ``agent-continued`` | it stopped early and goes on in the same conversation | ``why``, ``iterations_left`` |
| ``agent-over`` | its part of the run is over, after its last turn | |
| ``model-asked`` | a request is sent to the model: it is charged in any case | ``id``, ``model``, ``tokens`` |
| ``model-call`` | a request to the model is through; ``model/`` has it | ``id``, ``outcome``, ``tokens``, … |
| | or, ``outcome`` ``lost``: the harness was killed with it under way; ``model/`` has nothing | |
| ``model-refusals`` | requests and empty connections that the gateway refused and only counted | ``not_recorded`` |
| ``gateway-error`` | the gateway failed on a request; ``server.log`` has it | ``error`` |
| ``resumed`` | another process went on | ``changed``: what is different from when the run began |
| ``headline-started`` / ``headline-seed`` | | ``attempt`` / ``seed`` |
| ``ended`` | the run is over; only workers that end come after it | ``status`` |
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation_harness.errors import RecordInvalid
from curation_harness.record.entry import Entry

KINDS = frozenset(
    [
        "created",
        "agent-started",
        "clock",
        "refused",
        "duplicate",
        "accepted",
        "reproduced",
        "methods-listed",
        "method-read",
        "attempt-started",
        "attempt-scored",
        "attempt-failed",
        "checkpoint-kept",
        "checkpoint-removed",
        "worker",
        "server-error",
        "signal",
        "oom-kill",
        "done",
        "budget-spent",
        "interrupted",
        "agent-exited",
        "agent-lost",
        "agent-idle",
        "agent-lingers",
        "agent-continued",
        "agent-over",
        "model-asked",
        "model-call",
        "model-refusals",
        "gateway-error",
        "resumed",
        "headline-started",
        "headline-seed",
        "ended",
    ]
)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Event(Entry):
    seq: int
    """1, 2, 3 … without gaps."""
    time: str
    """ISO 8601, UTC."""
    kind: str
    data: dict[str, Any]


class EventLog:
    """Appends to and reads ``events.jsonl``. Safe to use from several threads of one process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._hold(_read(path))
        self._listener: Callable[[Event], None] | None = None

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` after every append, once the event is on disk."""
        self._listener = listener

    def append(self, kind: str, **data: Any) -> Event:
        """Append an event; it is on disk when this returns."""
        if kind not in KINDS:
            raise ValueError(f"unknown event kind {kind!r}")
        with self._lock:
            event = Event(seq=len(self._events) + 1, time=now(), kind=kind, data=data)
            line = event.model_dump_json() + "\n"
            with self._path.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    file.write(line.encode())
                    os.fsync(file.fileno())
                    if file.tell() != before + len(line.encode()):
                        raise OSError(errno.ENOSPC, "no space left for an event")
                except BaseException:  # Ctrl-C too: half an event would spoil the one after it
                    file.truncate(before)  # needs no space
                    raise
            self._events.append(event)
            self._by_kind[kind].append(event)
        if self._listener is not None:
            self._listener(event)
        return event

    def all(self) -> tuple[Event, ...]:
        with self._lock:
            return tuple(self._events)

    def of(self, *kinds: str) -> tuple[Event, ...]:
        """Events of some kinds, in order."""
        with self._lock:
            found = [event for kind in kinds for event in self._by_kind[kind]]
        return tuple(found) if len(kinds) == 1 else tuple(sorted(found, key=lambda event: event.seq))

    def reload(self) -> None:
        """Read the file again.

        Raises:
            RecordInvalid: it was damaged.
        """
        with self._lock:
            self._hold(_read(self._path))

    def _hold(self, events: list[Event]) -> None:
        self._events = events
        # by kind too: the run loop asks many times a second, and a long run has tens of thousands
        self._by_kind: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            self._by_kind[event.kind].append(event)

    def drop_torn_tail(self) -> None:
        """Cut a last line that a crash left without its newline; only whole events ever happened."""
        data = self._path.read_bytes() if self._path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())


def _read(path: Path) -> list[Event]:
    if not path.exists():
        return []
    text = path.read_bytes()
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    events: list[Event] = []
    for number, line in enumerate(lines, start=1):
        try:
            event = Event.model_validate(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise RecordInvalid(
                f"{path}, line {number}: no event ({error})", hint="The record was changed or damaged."
            ) from None
        if event.seq != number:
            raise RecordInvalid(
                f"{path}, line {number}: event {event.seq} where {number} was expected",
                hint="Lines were removed, added or moved.",
            )
        events.append(event)
    return events
