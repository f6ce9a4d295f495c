"""Shares slots between all runs of one user on one machine, first come, first served.

::

    /tmp/curation-harness-<uid>/slots/
        ticket-00000017     one for each job that waits; says which slots it would take
        slot-gpu-0          one for each slot

Whoever waits or works holds a lock (flock) on its ticket or slot. The kernel drops it when the process ends,
however it ends, so neither a dead waiter nor a dead worker's run blocks anybody. Nothing else is locked: a
waiter that is stopped (Ctrl-Z) at whatever point keeps its ticket and is passed over.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from curation_plugins.engines.slots import Slot
from curation_plugins.errors import PluginLayerError, WorkStopped

POLL_SECONDS = 0.05

STOPPED_SECONDS = 10
"""A waiter that has not looked at the queue for this long does not hold up those behind it."""

FOLDER_VARIABLE: Final = "CURATION_SLOTS_DIR"


def default_folder() -> Path:
    """One place for all of the user's runs, whatever their TMPDIR or login session is."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(f"/tmp/curation-harness-{os.getuid()}/slots")


class SlotQueue:
    def __init__(self, slots: Sequence[Slot], folder: Path | None = None) -> None:
        self.slots = tuple(slots)
        self.folder = folder or default_folder()

    @contextmanager
    def acquire(
        self,
        prefer: str = "",
        waiting: Callable[[], None] = lambda: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[Slot]:
        """Hold a slot, ``prefer`` if it is free.

        ``waiting`` is called once if there is none at once.

        Raises:
            WorkStopped: ``stopped()`` became true before there was one.
        """
        self._make_folder()
        order = sorted(self.slots, key=lambda slot: slot.name != prefer)
        held = self._wait(order, waiting, stopped)
        try:
            yield held[0]
        finally:
            os.close(held[1])

    def _wait(
        self, order: Sequence[Slot], waiting: Callable[[], None], stopped: Callable[[], bool]
    ) -> tuple[Slot, int]:
        ticket, ticket_fd = self._draw_ticket(order)
        told = False
        try:
            while True:
                held = self._take(order, ticket)
                if held:
                    return held
                if stopped():
                    raise WorkStopped("the run ended while it waited for a slot")
                if not told:
                    told = True
                    waiting()
                time.sleep(POLL_SECONDS)
                _look(ticket_fd)
        finally:
            ticket.unlink(missing_ok=True)
            os.close(ticket_fd)

    def _draw_ticket(self, order: Sequence[Slot]) -> tuple[Path, int]:
        """A ticket behind all others, which appears locked: an unlocked one counts as abandoned."""
        fd, draft = tempfile.mkstemp(prefix=".draft-", dir=self.folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, " ".join(slot.name for slot in order).encode())
            _look(fd)
            while True:
                last = max((_number(ticket) for ticket in self._tickets()), default=0)
                ticket = self.folder / f"ticket-{last + 1:08d}"
                with suppress(FileExistsError):  # somebody else drew this number meanwhile
                    ticket.hardlink_to(draft)
                    return ticket, fd
        except BaseException:  # Ctrl-C too: an open file would hold the ticket
            os.close(fd)
            raise
        finally:
            Path(draft).unlink()

    def _take(self, order: Sequence[Slot], ticket: Path) -> tuple[Slot, int] | None:
        """A free slot that nobody before us would take, locked."""
        taken_before = self._wanted_before(ticket)
        for slot in order:
            if slot.name not in taken_before and (fd := self._lock(slot)) is not None:
                return slot, fd
        return None

    def _wanted_before(self, ticket: Path) -> set[str]:
        wanted: set[str] = set()
        for other in self._tickets():
            if _number(other) >= _number(ticket):
                break
            with suppress(FileNotFoundError):  # its owner may give it up at any moment
                if not _removed_as_abandoned(other) and _looks(other):
                    wanted |= set(other.read_text().split())
        return wanted

    def _lock(self, slot: Slot) -> int | None:
        fd = os.open(self.folder / f"slot-{slot.name}", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())  # for a person who wonders who has it
        return fd

    def _tickets(self) -> list[Path]:
        return sorted(self.folder.glob("ticket-*"), key=_number)

    def _make_folder(self) -> None:
        """Make it for this user alone: another user who made it first could hold every slot."""
        for folder in (self.folder.parent, self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PluginLayerError(
                f"{self.folder} belongs to user {status.st_uid}, not to you",
                hint=f"Remove it, or name another folder in {FOLDER_VARIABLE}.",
            )


def _look(ticket_fd: int) -> None:
    """Sign a ticket: its time is when its owner last looked, on the clock that all processes of a machine share and
    that nobody sets."""
    now = time.monotonic()
    os.utime(ticket_fd, (now, now))


def _looks(ticket: Path) -> bool:
    return time.monotonic() - ticket.stat().st_mtime < STOPPED_SECONDS


def _number(ticket: Path) -> int:
    return int(ticket.name.removeprefix("ticket-"))


def _removed_as_abandoned(ticket: Path) -> bool:
    """Remove a ticket that nobody has locked: the process that drew it is gone."""
    fd = os.open(ticket, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # only a holder of its lock removes a ticket, so this name cannot become another ticket's in between
        if ticket.stat().st_ino == os.fstat(fd).st_ino:
            ticket.unlink()
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)
