"""Brings what a task is made of, and makes its files: afterwards a launch needs no network but the model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from curation_harness.errors import OptionInvalid
from curation_harness.planning import machine
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins.api import Task
from curation_plugins.hub.store import Meter, Store, require_room
from curation_plugins.hub.wanted import Want
from curation_sandbox import __version__
from curation_sandbox.spec import format_size

TIMEOUT = httpx.Timeout(60.0, connect=20.0)
"""Seconds without a byte after which a connection counts as broken, and is begun anew where it stopped."""


@dataclass(frozen=True)
class Piece:
    """One thing a task needs, and whether it is here."""

    want: Want
    here: Path | None
    """The folder with its files."""
    bytes: int | None
    """What it takes, or about what it will."""
    revision: str | None
    own: Path | None = None
    """The user's path that stands for it, which may be gone."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.want.name,
            "what": self.want.what,
            "from": self.want.origin,
            "source": self.want.source.model_dump(mode="json"),
            "revision": self.revision,
            "bytes": self.bytes,
            "here": str(self.here) if self.here else None,
            "own": str(self.own) if self.own else None,
        }


def pieces(task: Task, cache: Path) -> list[Piece]:
    """What the task needs from elsewhere."""
    store = Store(cache)
    out = []
    for want in task.downloads():
        known, here = store.fetched(want), store.content(want)
        came = sum(note.size for note in known.files.values()) if known is not None and here is not None else 0
        own = Path(known.own) if known is not None and known.own else None
        out.append(Piece(want, here, came or want.source.bytes, known.revision if known else None, own))
    return out


def adopt(task: Task, wanted: Sequence[Want], cache: Path, given: Sequence[str]) -> None:
    """Takes ``NAME=PATH`` of the user's for things the task wants; ``NAME=`` undoes it.

    Raises:
        OptionInvalid: not of that form, or the task wants nothing of that name.
        ConfigInvalid, AssetsInvalid, DownloadDamaged: the path is not what is wanted, or there is nothing to undo.
    """
    wants = {want.name: want for want in wanted}
    if given:
        machine.require_cache(cache)
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in wants:
            raise OptionInvalid(
                f"--have {text!r}: task {task.name} wants nothing of that name" if equals else f"--have {text!r}",
                hint="NAME=PATH (NAME= undoes it), with one of: "
                f"{', '.join(wants) or 'nothing is fetched for this task'}.",
            )
        if path:
            Store(cache).adopt(wants[name], Path(path).expanduser())
        else:
            Store(cache).disown(wants[name])


@dataclass(frozen=True)
class Room:
    """Disk that a task's files still take, bytes, as far as sizes are known; at a time, so that an archive that is
    removed once it was unpacked is counted once more than its members only while that goes on."""

    download: int
    unpack: int
    """The largest archive's members, beside that archive."""
    rows: int
    """What the task writes itself."""
    unknown: int
    """So many of what is missing have a size that only their servers know."""

    @property
    def total(self) -> int:
        return self.download + self.unpack + self.rows

    def in_words(self) -> str:
        parts = ((self.download, "to download"), (self.unpack, "to unpack"), (self.rows, "for rows"))
        said = ", ".join(f"{format_size(size)} {what}" for size, what in parts if size)
        more = f"{self.unknown} thing(s) of unknown size come on top" if self.unknown else ""
        return "; ".join(part for part in (said, more) if part)


def room(task: Task, cache: Path) -> Room:
    """What is still to come of a task's files; nothing once they are made."""
    if (task_assets.folder(cache, task) / task_assets.MANIFEST).exists():
        return Room(0, 0, 0, 0)
    store, wants, needs = Store(cache), task.downloads(), task.needs()
    missing = store.missing(wants)
    sizes, archives = _sizes(wants), _largest_archive(wants)
    return Room(
        download=max(0, sum(_sizes(missing)) - sum(map(store.came, missing))),
        unpack=_largest_archive(missing),
        rows=0 if needs is None else max(0, needs.disk - sum(sizes) - archives),
        unknown=sum(want.source.bytes is None for want in missing),
    )


def _sizes(wants: Sequence[Want]) -> list[int]:
    return [want.source.bytes or 0 for want in wants]


def _largest_archive(wants: Sequence[Want]) -> int:
    return max(_sizes([want for want in wants if want.unpack]), default=0)


def fetch(task: Task, cache: Path, meter: Meter) -> None:
    """Downloads what is not here; what is stays, and a broken download goes on where it stopped. A task whose files
    are made needs none.

    Raises:
        DownloadFailed, DownloadDamaged, DiskFull.
        RunFolderUnusable: nothing can be written into the cache.
    """
    machine.require_cache(cache)
    store = Store(cache)
    missing = store.missing(task.downloads())
    if not missing or (task_assets.folder(cache, task) / task_assets.MANIFEST).exists():
        return
    # all of it at once, before hours are spent on the first; each is asked for again with its true size
    left = room(task, cache)
    require_room(store.root, left.total, f"task {task.name}", left.in_words())
    bring(store, missing, meter)


def bring(store: Store, missing: Sequence[Want], meter: Meter) -> None:
    """Download what is not here.

    Raises:
        DownloadFailed, DownloadDamaged, DiskFull.
    """
    agent = {"user-agent": f"curation-harness/{__version__}"}
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT, headers=agent) as client:
        for want in missing:
            store.fetch(want, client, meter)


def prepare(task: Task, cache: Path, watcher: Watcher, *, thorough: bool = False) -> Path:
    """Makes or checks the task's files.

    Args:
        thorough: hash every file of them.
    """
    watcher.step(f"making or checking the files of task {task.name}")
    made = task_assets.ensure(cache, task, watcher.progress)
    if thorough:
        watcher.step("hashing every file")
        task_assets.verify(made, thorough=True)
    return made
