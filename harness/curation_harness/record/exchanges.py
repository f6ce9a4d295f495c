"""The record of a run's model traffic: ``model/exchanges.jsonl`` and the bodies it names.

Bodies are kept once per content, compressed, as ``model/bodies/<first two>/<sha256>.zst``: a conversation sends its
beginning again with every turn, and what is equal lies there once.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import zstandard
from pydantic import JsonValue

from curation_harness.errors import RecordInvalid
from curation_harness.record.entry import Entry
from curation_sandbox.gateway.exchange import Exchange, Outcome
from curation_sandbox.gateway.wires import Wire

MAX_BODY = 2**30
"""Bytes a body may unpack to; more is a damaged record."""


class UsageEntry(Entry):
    """Tokens; see ``curation_sandbox.gateway.exchange.Usage``."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    estimated: bool = False


class ExchangeEntry(Entry):
    """One line of ``model/exchanges.jsonl``: one request to the gateway and all that came of it."""

    id: int
    """1, 2, 3 … in order of arrival over the whole run; lines stand in order of completion."""
    turn: int
    """The agent's turn (container) it belongs to: 1, 2, 3 …"""
    began: float
    """Unix time."""
    method: str
    path: str
    wire: Wire | None
    kind: str
    model_asked: str | None
    model: str | None
    request_headers: dict[str, str]
    request: str
    """SHA-256 of the client's body, decompressed."""
    sent: str | None
    """SHA-256 of the body as it was sent on."""
    changes: tuple[str, ...]
    """What the filter took out."""
    status: int
    response_headers: dict[str, str]
    response: str
    """SHA-256 of the reply's body as it was passed on."""
    chunks: tuple[tuple[float, int], ...]
    """(seconds since the beginning, bytes) of each piece of the reply."""
    outcome: Outcome
    reason: str
    usage: UsageEntry | None
    dollars: float | None
    """Price by the run's price table; none if the model has none."""
    tries: int
    seconds: float

    @property
    def counted(self) -> bool:
        """Whether it is one of the run's requests to the model: it went to the provider and spent budget."""
        return self.kind == "generate" and self.sent is not None and self.outcome not in ("refused", "budget")

    @property
    def tokens(self) -> int:
        return self.usage.input + self.usage.output if self.usage else 0


def call_event(entry: ExchangeEntry) -> dict[str, JsonValue]:
    """Data of the event ``model-call`` of a counted exchange."""
    return {
        "id": entry.id,
        "outcome": entry.outcome,
        "status": entry.status,
        "tokens": entry.tokens,
        "dollars": entry.dollars,
        "seconds": round(entry.seconds, 3),
    }


class ExchangeLog:
    """Appends to and reads a run's model traffic. Safe to use from several threads of one process."""

    def __init__(self, folder: Path) -> None:
        """Args:
        folder: the run's folder.
        """
        self._bodies = folder / "model" / "bodies"
        self._path = folder / "model" / "exchanges.jsonl"
        self._lock = threading.Lock()
        self.kept_bytes = sum(path.stat().st_size for path in (folder / "model").rglob("*") if path.is_file())
        """Bytes on disk."""

    def append(self, exchange: Exchange, turn: int, dollars: float | None) -> ExchangeEntry:
        """Write an exchange; it is on disk when this returns.

        Raises:
            OSError: the disk is full or gone; nothing half-written is left in the list.
        """
        usage = exchange.usage
        entry = ExchangeEntry(
            id=exchange.id,
            turn=turn,
            began=exchange.began,
            method=exchange.method,
            path=exchange.path,
            wire=exchange.wire,
            kind=exchange.kind,
            model_asked=exchange.model_asked,
            model=exchange.model,
            request_headers=dict(exchange.request_headers),
            request=self._keep(exchange.request),
            sent=None if exchange.sent is None else self._keep(exchange.sent),
            changes=exchange.changes,
            status=exchange.status,
            response_headers=dict(exchange.response_headers),
            response=self._keep(exchange.response),
            chunks=tuple((round(chunk.at, 6), len(chunk.data)) for chunk in exchange.chunks),
            outcome=exchange.outcome,
            reason=exchange.reason,
            usage=None if usage is None else UsageEntry.model_validate(vars(usage)),
            dollars=dollars,
            tries=exchange.tries,
            seconds=exchange.seconds,
        )
        line = entry.model_dump_json().encode() + b"\n"
        with self._lock:
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, "no space left for an exchange")
                    os.fsync(file.fileno())
                except BaseException:  # Ctrl-C too: half a line would spoil the one after it
                    file.truncate(before)
                    raise
            self.kept_bytes += len(line)
        return entry

    def entries(self) -> tuple[ExchangeEntry, ...]:
        """All exchanges in order of arrival; a last line without its newline was never whole and is left out.

        Raises:
            RecordInvalid: a line is damaged.
        """
        if not self._path.exists():
            return ()
        text = self._path.read_bytes()
        found = []
        for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                found.append(ExchangeEntry.model_validate(json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise RecordInvalid(
                    f"{self._path}, line {number}: no exchange ({error})", hint="The record was changed or damaged."
                ) from None
        return tuple(sorted(found, key=lambda entry: entry.id))

    def body(self, digest: str) -> bytes:
        """A kept body.

        Raises:
            RecordInvalid: it is missing, or not what its name says.
        """
        path = self._place(digest)
        try:
            with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as reader:
                data = reader.read(MAX_BODY + 1)
        except (OSError, zstandard.ZstdError) as error:
            raise RecordInvalid(f"{path} cannot be read: {error}", hint="The record is incomplete.") from None
        if len(data) > MAX_BODY:
            raise RecordInvalid(f"{path} unpacks to more than {MAX_BODY} bytes", hint="The record was changed.")
        if hashlib.sha256(data).hexdigest() != digest:
            raise RecordInvalid(f"{path} does not hold what its name says", hint="The record was changed or damaged.")
        return data

    def chunks(self, entry: ExchangeEntry) -> Iterator[bytes]:
        """The reply of an exchange in the pieces it came in."""
        body, start = self.body(entry.response), 0
        for _, length in entry.chunks:
            yield body[start : start + length]
            start += length

    def drop_torn_tail(self) -> None:
        """Cut a last line that a crash left without its newline."""
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            with self._path.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())

    def _place(self, digest: str) -> Path:
        return self._bodies / digest[:2] / f"{digest}.zst"

    def _keep(self, body: bytes) -> str:
        """Write a body unless it is there; whole or not at all."""
        digest = hashlib.sha256(body).hexdigest()
        path = self._place(digest)
        if path.exists():
            return digest
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{digest}.{threading.get_ident()}.tmp")
        try:
            with scratch.open("wb") as file:
                file.write(zstandard.ZstdCompressor(level=3).compress(body))
                file.flush()
                os.fsync(file.fileno())
            size = scratch.stat().st_size
            scratch.rename(path)
            with self._lock:
                self.kept_bytes += size
        finally:
            scratch.unlink(missing_ok=True)
        return digest
