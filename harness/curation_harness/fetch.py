"""Brings what a task is made of, and makes its files: afterwards a launch needs no network but the model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from curation_harness import machine
from curation_harness.errors import OptionInvalid
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins.api import Task
from curation_plugins.hub.store import Meter, Store, require_room, total_bytes
from curation_plugins.hub.wanted import Want
from curation_sandbox import __version__

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

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.want.name,
            "what": self.want.what,
            "from": self.want.origin,
            "source": self.want.source.model_dump(mode="json"),
            "revision": self.revision,
            "bytes": self.bytes,
            "here": str(self.here) if self.here else None,
        }


def pieces(task: Task, cache: Path) -> list[Piece]:
    """What the task needs from elsewhere."""
    store = Store(cache)
    out = []
    for want in task.downloads():
        known, here = store.fetched(want), store.content(want)
        came = sum(note.size for note in known.files.values()) if known is not None and here is not None else 0
        out.append(Piece(want, here, came or want.source.bytes, known.revision if known else None))
    return out


def adopt(task: Task, wanted: Sequence[Want], cache: Path, given: Sequence[str]) -> None:
    """Takes ``NAME=PATH`` of the user's for things the task wants.

    Raises:
        OptionInvalid: not of that form, or the task wants nothing of that name.
        ConfigInvalid, DownloadDamaged: the path is not what is wanted.
    """
    wants = {want.name: want for want in wanted}
    if given:
        machine.require_cache(cache)
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or name not in wants:
            raise OptionInvalid(
                f"--have {text!r}: task {task.name} wants nothing of that name" if equals else f"--have {text!r}",
                hint=f"NAME=PATH, with one of: {', '.join(wants) or 'nothing is fetched for this task'}.",
            )
        Store(cache).adopt(wants[name], Path(path).expanduser())


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
    require_room(store.root, total_bytes(missing)[0], f"what task {task.name} is made of")
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
